#!/usr/bin/env bats
# pleach cat

load helper

@test "cat writes the content and nothing else" {
	head -c 300000 /dev/urandom >src/big
	: >src/empty
	"$PLEACH" publish -q site ./src
	"$PLEACH" cat site:big >out
	cmp out src/big
	it 0 cat site:empty
	same "$output$stderr" ""
}

@test "cat of an earlier generation" {
	two_generations
	it 0 cat site@1:b
	same "$output" two
	it 0 cat site@-1:a
	same "$output" one
	it 0 cat site:a
	same "$output" other
}

@test "cat --json is one document" {
	head -c 100001 /dev/urandom >src/big
	"$PLEACH" publish -q site ./src
	it 0 cat --json site:big
	json .size 100001
	printf '%s\n' "$output" | jq -r .base64 | base64 -d | cmp - src/big
}

@test "cat ends with 13 on damage, and names what is damaged" {
	put a 'some content'
	"$PLEACH" publish -q site ./src
	damage 'some content'
	it 13 cat site:a
	like "$stderr" "^pleach: "
	it 13 cat --json site:a
	json .error.code '"corrupt"'
}

@test "cat of a directory, of a tree, of nothing" {
	put sub/a one
	ln -s a src/sub/link
	"$PLEACH" publish -q site ./src
	it 1 cat site:sub
	it 2 cat site
	it 2 cat site:sub/link
	it 10 cat site:nosuch
	it 10 cat nosuch:a
	it 10 cat --json site:nosuch
	error_is not-found
}
