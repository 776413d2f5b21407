#!/usr/bin/env bats
# pleach diff

load helper

every_kind() {
	put content one
	put gone two
	put kind three
	put meta four
	put one five
	put two six
	"$PLEACH" publish -q site ./src
	put content other
	rm src/gone src/kind
	ln -s target src/kind
	chmod 600 src/meta
	put new seven
	"$PLEACH" publish -q site ./src
}

@test "diff prints a line for each change: A D M T P" {
	every_kind
	it 0 diff site@1 site@2
	same "$output" $'M content\nD gone\nT kind\nP meta\nA new'
}

@test "diff of one revision is against its parent, and of the first: all is new" {
	every_kind
	local both
	both=$("$PLEACH" diff site@1 site@2)
	it 0 diff site
	same "$output" "$both"
	it 0 diff site@1
	same "$(printf '%s\n' "$output" | cut -c1 | sort -u)" A
}

@test "diff says L for a change of hard links alone" {
	put a same
	put b same
	touch -d 2020-01-01 src/a src/b
	"$PLEACH" publish -q site ./src
	rm src/b
	ln src/a src/b
	"$PLEACH" publish -q site ./src
	it 0 diff site
	same "$output" $'L a\nL b'
}

@test "diff with a directory shows what is there" {
	two_generations
	it 0 diff site ./src
	same "$output" ""
	put a fresh
	rm src/c
	put d new
	it 0 diff site ./src
	same "$output" $'M a\nD c\nA d'
	it 0 diff site src
	same "$output" $'M a\nD c\nA d'
	it 0 diff site@1 "$PWD/src"
	like "$output" "D b"
	it 1 diff site ./nosuch
}

@test "diff of a ref that is also a directory has to be told apart" {
	two_generations
	"$PLEACH" publish -q other ./src
	mkdir other
	it 2 diff site other
	it 0 diff site other@1
	same "$output" ""
	it 0 diff site ./other
	same "$output" $'D a\nD c'
}

@test "--exit-code: 1 when they differ" {
	two_generations
	it 0 diff site
	it 1 diff --exit-code site
	it 0 diff --exit-code site site@2
	it 1 diff --exit-code --json site
}

@test "paths after -- limit it" {
	put sub/x 1
	put suburb 2
	put a 3
	"$PLEACH" publish -q site ./src
	put sub/x 4
	put suburb 5
	put a 6
	"$PLEACH" publish -q site ./src
	it 0 diff site -- sub
	same "$output" "M sub/x"
	it 0 diff site@1 site@2 -- sub a
	same "$output" $'M a\nM sub/x'
	it 0 diff --exit-code site -- nosuch
	same "$output" ""
}

@test "--name-only and -z" {
	two_generations
	it 0 diff --name-only site
	same "$output" $'a\nb\nc'
	same "$("$PLEACH" diff -z site | tr '\0' ';')" "M a;D b;A c;"
	same "$("$PLEACH" diff -z --name-only site | tr '\0' ';')" "a;b;c;"
	it 2 diff --name-only --stat site
}

@test "--stat prints sizes and totals" {
	two_generations
	it 0 diff --stat site
	same "${lines[0]}" "M a  4 -> 6"
	same "${lines[1]}" "D b  4 -> -"
	same "${lines[2]}" "A c  - -> 6"
	same "${lines[3]}" "3 paths: 1 added, 1 modified, 1 removed; +8 -4 bytes"
}

@test "-p prints what diff -u prints" {
	every_kind
	it 0 diff -p site
	like "$output" $'--- a/content\n\\+\\+\\+ b/content\n@@ -1 \\+1 @@\n-one\n\\+other'
	like "$output" $'--- a/gone\n\\+\\+\\+ /dev/null\n@@ -1 \\+0,0 @@\n-two'
	like "$output" $'--- /dev/null\n\\+\\+\\+ b/new\n@@ -0,0 \\+1 @@\n\\+seven'
	like "$output" $'old mode f 0644\nnew mode f 0600'
	like "$output" $'--- /dev/null\n\\+\\+\\+ b/kind\n@@ -0,0 \\+1 @@\n\\+target'
	same "$stderr" ""
}

@test "-p against a directory, in a subdirectory, and of binary files" {
	put sub/x one
	printf 'a\0b' >src/sub/bin
	"$PLEACH" publish -q site ./src
	put sub/x two
	printf 'a\0c' >src/sub/bin
	it 0 diff -p site:sub ./src/sub
	like "$output" "Binary files a/bin and b/bin differ"
	like "$output" $'-one\n\\+two'
	"$PLEACH" publish -q site ./src
	it 0 diff -p site@1:sub site@2:sub
	like "$output" $'-one\n\\+two'
}

@test "--json is an object a line with old and new" {
	every_kind
	it 0 diff --json site
	same "${#lines[@]}" 5
	same "$(printf '%s\n' "$output" | jq -r '.change + .path' | tr '\n' ' ')" \
		"Mcontent Dgone Tkind Pmeta Anew "
	output=${lines[0]}
	json keys '["change","new","old","path"]'
	json '[.old.size, .new.size, .old.type]' '[4,6,"file"]'
	output=${lines[1]}
	json .new null
	output=${lines[2]}
	json '[.old.type, .new.type, .new.target]' '["file","symlink","target"]'
	output=${lines[4]}
	json .old null
}

@test "diff of what is not there" {
	two_generations
	it 10 diff nosuch
	it 10 diff site site@9
	it 10 diff --json site site@9
	error_is not-found
}

@test "diff writes nothing" {
	two_generations
	put a third
	local before
	before=$(find store/.pleach/refs store/.pleach/trees store/.pleach/objects -printf '%p %T@\n' | sort)
	it 0 diff site ./src
	same "$(find store/.pleach/refs store/.pleach/trees store/.pleach/objects -printf '%p %T@\n' |
		sort)" "$before"
}
