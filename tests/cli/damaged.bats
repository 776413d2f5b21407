#!/usr/bin/env bats
# What is damaged, or a stranger's, in one place of a store, and everything else goes on.

load helper

# A name of a stranger at .pleach/$1, of each kind in turn; then $2... is run.
each_stranger() {
	local at="store/.pleach/$1" kind
	shift
	for kind in 'echo mine >' 'mkdir' 'mkfifo' 'ln -s /nowhere'; do
		eval "$kind '$at'"
		"$@" || { echo "with: $kind $at"; return 1; }
		rm -r "$at"
	done
	mkdir -p "$at/sub"
	echo mine >"$at/sub/file"
	"$@" || { echo "with a directory at $at"; return 1; }
	rm -r "$at"
}

all_go_on() {
	echo "$RANDOM" >src/new
	it 0 publish site ./src || return 1
	it 0 status || return 1
	it 0 status --json || return 1
	it 0 du || return 1
	it 0 log site || return 1
	it 0 gc -n || return 1
	it 0 gc || return 1
	it 0 gc || return 1
	it 0 publish other ./src || return 1
	it 0 drop site@-1 || return 1
	it 0 drop other || return 1
	it 0 config keep-placed=2
}

# sets_aside PATH: a file of a stranger there is found, set aside, not deleted, and the store is well then.
sets_aside() {
	echo mine >"store/.pleach/$1"
	it 13 check || return 1
	like "$output" "fault: name \.pleach/$1: is no part of a store" || return 1
	it 0 check --repair || return 1
	like "$output" "mended: name \.pleach/$1: set aside" || return 1
	like "$(cat store/.pleach/damaged/*/list)" "\.pleach/$1" || return 1
	it 0 check || return 1
	same "$(cat store/.pleach/damaged/*/1-stray)" mine || return 1
	rm -r store/.pleach/damaged
}

@test "what a stranger has put in refs/ is passed over, and never touched (G7)" {
	two_generations
	each_stranger refs/foreign all_go_on
}

@test "a ref is not made over what a stranger has put in refs/, and that is no ref" {
	two_generations
	no_ref() {
		it 1 publish foreign ./src || return 1
		like "$stderr" "cannot make ref 'foreign': '.*/store/.pleach/refs/foreign' is not ours" || return 1
		like "$stderr" "hint: pleach check --repair sets it aside" || return 1
		it 10 log foreign || return 1
		like "$stderr" "hint: .*refs/foreign' is no ref" || return 1
		it 10 drop foreign || return 1
		it 10 check foreign
	}
	each_stranger refs/foreign no_ref
}

@test "check --repair sets aside what a stranger has put in refs/" {
	two_generations
	sets_aside refs/foreign
	it 0 publish foreign ./src
}

@test "a directory of refs/ that a public path leads to is a damaged ref: nothing is collected" {
	two_generations
	rm -r store/.pleach/refs/site
	mkdir store/.pleach/refs/site
	it 13 gc
	like "$stderr" "ref 'site' is damaged"
	rmdir store/.pleach/refs/site
	echo x >store/.pleach/refs/site
	it 13 gc
	like "$stderr" "ref 'site' is damaged"
	[ "$(ls store/.pleach/trees | wc -l)" -eq 2 ]
}
