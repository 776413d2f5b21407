#!/usr/bin/env bats
# pleach pin

load helper

@test "pin -- COMMAND runs with the path, the generation and the tree" {
	two_generations
	it 0 pin site@1 -- sh -c 'cat "$PLEACH_PATH/a"; echo "$PLEACH_GENERATION $PLEACH_TREE"'
	same "${lines[0]}" one
	same "${lines[1]}" "1 $("$PLEACH" log --json site | jq -r 'select(.generation == 1).tree')"
	it 0 pin site:c -- sh -c 'cat "$PLEACH_PATH"'
	same "$output" three
}

@test "pin -- COMMAND passes its status on, 128+n for a signal" {
	two_generations
	it 7 pin site -- sh -c 'exit 7'
	it 137 pin site -- sh -c 'kill -KILL $$'
	it 143 pin site -- sh -c 'kill -TERM $$'
	it 10 pin site -- sh -c 'exit 10'
	same "$stderr" ""
}

@test "pin -- COMMAND: own failures 125, not executable 126, not found 127" {
	two_generations
	it 125 pin nosuch -- true
	like "$stderr" "^pleach: "
	it 125 pin site@9 -- true
	it 125 --store nowhere pin site -- true
	it 125 --json pin nosuch -- true
	error_is not-found
	it 127 pin site -- ./nosuch
	like "$stderr" "\./nosuch"
	it 127 pin site -- nosuch-command
	: >file
	it 126 pin site -- ./file
	it 126 pin site -- ./src
}

@test "pin of what is not there, without a command, has the usual exits" {
	two_generations
	it 10 pin nosuch </dev/null
	it 2 pin 'no revision' </dev/null
	it 2 pin </dev/null
	it 2 pin site true
	it 2 pin site --bogus </dev/null
	it 125 pin site --
	it 125 pin site --bogus -- true
	like "$stderr" "unknown option"
}

@test "options of COMMAND are its own" {
	two_generations
	it 0 pin site -- sh -c 'echo "$*"' sh --json -n --help
	same "$output" "--json -n --help"
}

@test "COMMAND gets standard input, and signals that were not ignored" {
	two_generations
	run --separate-stderr bash -c 'echo hello | "$PLEACH" pin site -- cat'
	same "$output" hello
	run --separate-stderr "$PLEACH" pin site -- sh -c 'grep -i ^SigIgn /proc/self/status'
	same "$output" "$(sh -c 'grep -i ^SigIgn /proc/self/status')"
}

@test "pin REV prints the path and holds until its standard input ends" {
	two_generations
	hold site
	like "$held" "^/"
	same "$(cat "$held/a")" other
	like "$("$PLEACH" status --json site | jq .refs[0].pinned)" "^1$"
	let_go
	like "$("$PLEACH" status --json site | jq .refs[0].pinned)" "^0$"
	it 0 pin site </dev/null
	same "$output" "$held"
}

@test "pin REV ends at a signal with 128+n" {
	two_generations
	hold site
	kill -TERM "$holder"
	status=0
	wait "$holder" || status=$?
	same "$status" 143
	exec 8>&-
	rm pin.in pin.out
	hold site
	kill -HUP "$holder"
	status=0
	wait "$holder" || status=$?
	same "$status" 129
	exec 8>&-
}

@test "pin REV --json" {
	two_generations
	it 0 pin --json site@1 </dev/null
	json '[keys, .ref, .generation]' '[["generation","path","ref","tree"],"site",1]'
}

@test "a pinned generation stays whole whatever is published (G1)" {
	two_generations
	"$PLEACH" config grace=0s keep-placed=1 spares=0
	hold site@1
	local n
	for n in 3 4 5 6; do
		put a "$n"
		"$PLEACH" publish -q site ./src
	done
	same "$(cat "$held/a")" one
	same "$(cat "$held/b")" two
	let_go
}

@test "what COMMAND leaves running holds the pin" {
	two_generations
	"$PLEACH" config grace=0s
	mkfifo go
	it 0 pin site@1 -- sh -c 'exec >/dev/null 2>&1; cat <go & :' 3>&-
	exec 8>go
	it 11 drop --now site@1
	exec 8>&-
}
