#!/usr/bin/env bats
# pleach drop

load helper

@test "drop REF@N gives a generation up; its number is not used again" {
	two_generations
	it 0 drop --now site@1
	like "$output" "^site@1 dropped"
	it 10 path site@1
	like "$stderr" "dropped"
	it 10 ls site@1
	put a third
	it 0 publish site ./src
	like "$output" "^site@3 "
	same "$(heads site)" "3 2 1 "
	it 0 check
}

@test "drop of the head is refused with 11" {
	two_generations
	it 11 drop --now site@2
	like "$stderr" "head"
	it 11 --json drop site@2
	error_is busy
	same "$(cat store/site/a)" other
}

@test "drop of a tagged generation is refused with 11, naming the tag, and forced with --force" {
	two_generations
	"$PLEACH" tag site keepme @1
	it 11 drop --now site@1
	like "$stderr" "keepme"
	it 0 ls site@keepme
	it 0 drop --now --force site@1
	same "$("$PLEACH" tag site)" ""
	it 10 path site@keepme
}

@test "drop of a pinned generation is refused with 11" {
	two_generations
	hold site@1
	it 11 drop --now site@1
	like "$stderr" "pin"
	like "$stderr" "$holder"
	it 11 drop --now --force site@1
	same "$(cat "$held/b")" two
	let_go
	it 0 drop --now site@1
}

@test "drop REF takes the public path, the ref and its history" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 0 drop --now site
	absent store/site
	it 10 log site
	it 10 path site
	same "$("$PLEACH" status --json | jq -c '.refs | map(.ref)')" '["other"]'
	same "$(cat store/other/a)" other
	it 0 check
}

@test "a ref made anew after drop begins at 1" {
	two_generations
	it 0 drop --now site
	it 0 publish site ./src
	like "$output" "^site@1 "
	same "$(cat store/site/a)" other
}

@test "drop REF while tagged or pinned is refused with 11" {
	two_generations
	"$PLEACH" tag site keepme @1
	it 11 drop --now site
	like "$stderr" "keepme"
	"$PLEACH" tag --delete site keepme
	hold site@1
	it 11 drop --now site
	same "$(cat store/site/a)" other
	let_go
	it 0 drop --now site
}

@test "drop REF leaves a foreign public path alone (G7)" {
	two_generations
	rm store/site
	echo mine >store/site
	it 0 drop --now site
	same "$(cat store/site)" mine
	it 10 log site
}

@test "drop -n tells and drops nothing" {
	two_generations
	it 0 drop -n --now site@1
	like "$output" "^site@1 would be dropped"
	it 0 ls site@1
	it 0 drop -n --now site
	it 0 log site
	same "${#lines[@]}" 2
	it 11 drop -n --now site@2
}

@test "several: the rest is dropped, exit 3 if one was refused" {
	two_generations
	put a third
	"$PLEACH" publish -q site ./src
	it 0 drop --now site@1 site@2
	same "${#lines[@]}" 2
	put a fourth
	"$PLEACH" publish -q site ./src
	it 3 drop --now site@4 site@3
	like "$stderr" "head"
	like "$output" "^site@3 dropped"
}

@test "drop --json is one document" {
	two_generations
	it 0 drop --json --now site@1
	json '[.dry_run, (.dropped | map([.rev, .generations]))]' '[false,[["site@1",1]]]'
	it 0 drop --json --now site
	json '.dropped[0].rev' '"site"'
}

@test "drop of what is not there is exit 10" {
	two_generations
	it 10 drop nosuch
	it 10 drop site@9
	it 10 drop --json nosuch
	error_is not-found
	it 2 drop
}

@test "drop REF leaves nothing of it in cache/" {
	local before
	"$PLEACH" publish -q other ./src
	before=$(ls store/.pleach/cache/placed)
	two_generations
	[ "$(ls store/.pleach/cache/placed | wc -l)" -eq 2 ]
	it 0 drop --now site
	same "$(ls store/.pleach/cache/placed)" "$before"
	two_generations
	it 0 drop site
	same "$(ls store/.pleach/cache/placed)" "$before"$'\n'none
	it 0 gc
	it 0 check
}
