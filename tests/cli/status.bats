#!/usr/bin/env bats
# pleach status

load helper

@test "status --json is one document of the promised members" {
	it 0 status --json
	json keys '["events","leftovers","refs","store","transactions"]'
	json '[.refs, .transactions, .leftovers]' '[[],[],[]]'
	json '.store | endswith("/store")' true
}

@test "status tells each ref, its head, public path, tags" {
	two_generations
	"$PLEACH" publish -q other ./src
	"$PLEACH" tag site v1 @1
	it 0 status
	like "$output" "store $PWD/store"
	like "$output" "site@2  [0-9a-f]{64}"
	like "$output" "other@1  "
	like "$output" "$PWD/store/site \(ok\)"
	like "$output" "tags +v1=1"
	it 0 status --json
	json '.refs | map([.ref, .head, .public.state, .kept, .pinned, .queued])' \
		'[["other",1,"ok",1,0,0],["site",2,"ok",2,0,0]]'
	json '.refs[1].tags' '[{"name":"v1","generation":1}]'
}

@test "status REF shows that one, and an unknown one is exit 10" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 0 status --json site
	json '.refs | map(.ref)' '["site"]'
	it 10 status nosuch
	it 10 status --json nosuch
	error_is not-found
}

@test "status tells a missing and a foreign public path" {
	two_generations
	rm store/site
	it 0 status --json site
	json '.refs[0].public.state' '"missing"'
	echo mine >store/site
	it 0 status --json site
	json '.refs[0].public.state' '"foreign"'
	same "$(cat store/site)" mine
}

@test "a ref whose first publish was refused is not there" {
	two_generations
	it 12 publish other ./src --if-head 3
	echo mine >store/mine
	it 1 publish mine ./src
	it 0 status --json
	json '.refs | map(.ref)' '["site"]'
	it 10 status other
	it 10 status mine
	it 0 publish other ./src
	it 0 status --json
	json '.refs | map([.ref, .head])' '[["other",1],["site",2]]'
}

@test "after a publish nothing is left over" {
	two_generations
	it 0 status --json
	json '[.transactions, .leftovers]' '[[],[]]'
	same "$(ls store/.pleach/tx)" ""
}

@test "reading commands work where the store cannot be written, and change nothing" {
	powerless true || skip "setpriv cannot take capabilities away"
	two_generations
	local before words control
	before=$(find store | sort)
	# the directories of ours; those of placed trees have modes that are part of the tree
	control=(store -type d -not -regex '.*/trees/[^/]*/[0-9]+/tree.*')
	find "${control[@]}" -exec chmod u-w {} +
	for words in "log site" "ls -R site" "cat site:a" "diff site" "status" "path site" "check" \
		"checkout site out"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr powerless "$PLEACH" $words
		same "$words: $status $stderr" "$words: 0 "
	done
	find "${control[@]}" -exec chmod u+w {} +
	same "$(find store | sort)" "$before"
}

@test "status says what transactions and trash take of the disk" {
	two_generations
	head -c 300000 /dev/urandom >src/large
	"$PLEACH" publish -q site ./src
	tx=$("$PLEACH" begin site --checkout work | head -n 1)
	id=0123456789abcdef01234567
	mkdir "store/.pleach/trash/$id"
	head -c 200000 /dev/urandom >"store/.pleach/trash/$id/garbage"
	ln src/large "store/.pleach/trash/$id/linked" # what has a name elsewhere would not be free
	it 0 status
	like "$output" "parked +$tx .*, [0-9.]+ kB"
	like "$output" "trash +$id .*, 2[0-9][0-9] kB"
	it 0 status --json
	json '.transactions[0].bytes_are_least' false
	[ "$(jq '.transactions[0].bytes' <<<"$output")" -gt 0 ]
	same "$(jq '.leftovers[0].bytes' <<<"$output")" \
		"$(($(du -s --block-size=1 "store/.pleach/trash/$id" | cut -f 1) - $(du --block-size=1 src/large | cut -f 1)))"
	json '[.leftovers[0] | .kind, .id, .bytes_are_least]' "[\"trash\",\"$id\",false]"
}

@test "status looks at so many names at most" {
	two_generations
	id=0123456789abcdef01234567
	mkdir "store/.pleach/trash/$id"
	(cd "store/.pleach/trash/$id" && seq 65600 | xargs mkfifo)
	it 0 status
	like "$output" "trash +$id .*, more than "
	it 0 status --json
	json '.leftovers[0].bytes_are_least' true
}
