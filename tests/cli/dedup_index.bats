#!/usr/bin/env bats
# pleach dedup --index: beside Nix, in one of its stores

load helper

# A store of Nix with two items that share three files; nothing outside of the test's directory.
nix_store() {
	command -v nix-store >/dev/null || skip "nix-store is not installed"
	[ "$(id -u)" -eq 0 ] || skip "directories of a store are read-only: needs root"
	export NIX_CONFIG='build-users-group =' HOME="$PWD"
	mkdir -p one/sub
	printf 'equal in both\n' >one/file
	printf '#!/bin/sh\n' >one/sub/script
	chmod +x one/sub/script
	head -c 70001 /dev/urandom >one/sub/large
	cp -a one two
	: >two/empty # two of them Nix would link, too
	echo other >two/other
	nix-store --store "$PWD/n" --add one 2>/dev/null || skip "nix-store cannot make a store here"
	nix-store --store "$PWD/n" --add two
	links=n/nix/store/.links
}

state() {
	find n/nix/store -not -path '*/.links*' -not -path n/nix/store -printf '%p %y %m %T@ %s\n' | sort
}

# What Nix says of every byte, and that it finds nothing left to do.
nix_is_content() {
	nix-store --store "$PWD/n" --verify --check-contents || return 1
	same "$(nix-store --store "$PWD/n" --optimise 2>&1 | grep -o 'hard-linking.*')" \
		"hard-linking 0 files"
}

@test "dedup --layout=nix names entries as Nix does, and Nix is content" {
	nix_store
	local before
	before=$(state)
	it 0 dedup --index "$links" --layout=nix n/nix/store
	like "$output" "3 linked, 0 reflinked, of 7 files, 4 indexed"
	same "$(state)" "$before"
	for entry in "$links"/*; do
		same "$(basename "$entry")" "$(nix-hash --type sha256 --base32 "$entry")"
	done
	same "$(find n/nix/store -name '.pleach-*')" ""
	nix_is_content
	it 0 dedup --index "$links" --layout=nix n/nix/store
	like "$output" "^0 saved, 0 linked, 0 reflinked, of 7 files$"
}

@test "dedup --layout=nix goes on where nix-store --optimise was" {
	nix_store
	nix-store --store "$PWD/n" --optimise
	it 0 dedup --json --index "$links" --layout=nix n/nix/store
	json '[.linked, .indexed, .bytes_read, .failed]' '[0,0,0,0]'
	cp -a one three
	echo third >three/third
	nix-store --store "$PWD/n" --add three
	it 0 dedup --json --index "$links" --layout=nix n/nix/store/*-three
	json '[.linked, .indexed, .failed]' '[3,1,0]'
	same "$(find n/nix/store/*-three -type f -links 4 | wc -l)" 3
	nix_is_content
}

@test "dedup --layout=nix leaves what can be written" {
	nix_store
	chmod u+w n/nix/store/*-two/file
	it 0 dedup --index "$links" --layout=nix n/nix/store
	like "$output" "2 linked"
}
