#!/usr/bin/env bats
# pleach attach, pleach detach

load helper

@test "a ref that is attached follows its head" {
	two_generations
	it 0 attach site there
	same "$output$stderr" ""
	same "$(cat there/a)" other
	put a third
	"$PLEACH" publish -q site ./src
	same "$(cat there/a)" third
}

@test "a fixed revision that is attached stays, and stays placed" {
	two_generations
	it 0 attach site@1 there
	local n
	"$PLEACH" config grace=0s keep-placed=1 spares=0
	for n in 3 4 5 6; do
		put a "$n"
		"$PLEACH" publish -q site ./src
	done
	same "$(cat there/b)" two
	it 11 drop --now site@1
	like "$stderr" "attach"
}

@test "attach again is fine, and --json says so" {
	two_generations
	it 0 attach --json site there
	json '[.path, .rev, .mode, .unchanged]' '["there","site","symlink",false]'
	it 0 attach --json site there
	json .unchanged true
}

@test "attach never replaces what is not ours (G7)" {
	two_generations
	echo mine >file
	it 1 attach site file
	like "$stderr" "file"
	same "$(cat file)" mine
	mkdir directory
	it 1 attach site directory
	ln -s elsewhere link
	it 1 attach site link
	same "$(readlink link)" elsewhere
	it 1 --json attach site file
	error_is failed
}

@test "attach --mode: symlink is the default; the others are in attach_modes.bats" {
	two_generations
	it 0 attach --mode symlink site there
	it 0 attach --json site there
	json .unchanged true
	it 2 attach --mode=nosuch site other
	absent other
}

@test "detach takes away what attach made, and only that (G7)" {
	two_generations
	"$PLEACH" attach site there
	it 0 detach there
	absent there
	it 10 detach there
	"$PLEACH" attach site there
	rm there
	echo mine >there
	"$PLEACH" detach there || true
	same "$(cat there)" mine
}

@test "status shows attachments" {
	two_generations
	"$PLEACH" attach site there
	it 0 status --json site
	json '.refs[0].attached | map([.mode, .state, (.path | endswith("/there"))])' \
		'[["symlink","ok",true]]'
	rm there
	it 0 status --json site
	json '.refs[0].attached[0].state' '"missing"'
	echo mine >there
	it 0 status --json site
	json '.refs[0].attached[0].state' '"foreign"'
	rm there
	"$PLEACH" detach there
	it 0 status --json site
	json '.refs[0].attached' '[]'
}

@test "attach of what is not there is exit 10" {
	two_generations
	it 10 attach nosuch there
	it 10 attach site@9 there
	absent there
}

@test "detach says that something else stays at the path" {
	two_generations
	it 0 attach site there
	rm there
	echo mine >there
	it 0 detach there
	like "$stderr" "'there' is not what attach made"
	same "$(cat there)" mine
	it 0 attach site elsewhere
	it 0 detach elsewhere
	same "$stderr" ""
	absent elsewhere
}

@test "attach again mends what a store that was moved has left dangling" {
	two_generations
	it 0 attach site there
	it 0 attach site@1 fixed
	mv store moved
	export PLEACH_STORE=$PWD/moved
	it 0 attach site there
	it 0 attach site@1 fixed
	same "$(cat there/a)" other
	same "$(cat fixed/a)" one
	it 0 attach site@1 there
	same "$(cat there/a)" one
	it 0 detach there
	absent there
}
