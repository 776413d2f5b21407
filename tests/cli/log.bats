#!/usr/bin/env bats
# pleach log

load helper

@test "log lists newest first: number, time, tree, kind, user, counts, message" {
	put a one
	"$PLEACH" publish -q -m 'the first' site ./src
	put a two
	"$PLEACH" publish -q -m $'the second\nwith more' site ./src
	"$PLEACH" rollback -q site
	it 0 log site
	same "${#lines[@]}" 3
	local t='[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} \+0000'
	like "${lines[0]}" "^ *3  $t  [0-9a-f]{64}  rollback +[^ ]+  \+0 ~1 -0"
	like "${lines[1]}" "^ *2  $t  [0-9a-f]{64}  publish +[^ ]+  \+0 ~1 -0 +the second\$"
	like "${lines[2]}" "^ *1  $t  [0-9a-f]{64}  publish +[^ ]+  \+1 ~0 -0 +the first\$"
}

@test "log shortens ids on a terminal only" {
	two_generations
	run on_terminal "$PLEACH" log site
	like "$output" '  [0-9a-f]{12}  publish'
	unlike "$output" '[0-9a-f]{13}'
}

@test "log --json is an object a line with the promised members" {
	two_generations
	"$PLEACH" tag site v1
	it 0 log --json site
	same "${#lines[@]}" 2
	output=${lines[0]}
	json keys '["changed","generation","host","kind","message","meta","parent","state","tags","time","tree","user"]'
	json '[.generation, .parent, .kind, .state, .tags, .meta]' '[2,1,"publish","kept",["v1"],{}]'
	json .changed '{"added":1,"modified":1,"removed":1}'
	like "$(printf '%s' "$output" | jq -r .time)" \
		'^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$'
	output=${lines[1]}
	json '[.generation, .parent, .tags]' '[1,null,[]]'
}

@test "log -n and --reverse: -n counts from the newest" {
	two_generations
	"$PLEACH" rollback -q site
	it 0 log -n 2 --json site
	same "$(printf '%s\n' "$output" | jq .generation | tr '\n' ' ')" "3 2 "
	it 0 log --reverse --json site
	same "$(printf '%s\n' "$output" | jq .generation | tr '\n' ' ')" "1 2 3 "
	it 0 log --reverse -n 2 --json site
	same "$(printf '%s\n' "$output" | jq .generation | tr '\n' ' ')" "2 3 "
	it 0 log -n 0 site
	same "$output" ""
}

@test "log -- PATH lists only what changed it" {
	put a one
	put sub/x 1
	"$PLEACH" publish -q site ./src
	put a two
	"$PLEACH" publish -q site ./src
	put sub/x 2
	"$PLEACH" publish -q site ./src
	it 0 log --json site -- a
	same "$(printf '%s\n' "$output" | jq .generation | tr '\n' ' ')" "2 1 "
	it 0 log --json site -- sub
	same "$(printf '%s\n' "$output" | jq .generation | tr '\n' ' ')" "3 1 "
	it 0 log --json site -- nosuch
	same "$output" ""
}

@test "dropped generations stay listed and say so" {
	two_generations
	"$PLEACH" drop -q --now site@1
	it 0 log site
	same "${#lines[@]}" 2
	like "${lines[1]}" "^ *1 .* dropped"
	it 0 log --json site
	same "$(printf '%s\n' "$output" | jq -r .state | tr '\n' ' ')" "kept dropped "
}

@test "log of an unknown ref is exit 10, with --json a document" {
	it 10 log nosuch
	same "$output" ""
	it 10 log --json nosuch
	error_is not-found
}

@test "a message that is not UTF-8 is exact in JSON" {
	put a one
	it 0 publish -q -m $'caf\xe9 "quoted"' site ./src
	it 0 log --json site
	json .message "{\"base64\":\"$(printf 'caf\xe9 "quoted"' | base64)\"}"
}
