#!/usr/bin/env bats
# pleach checkout

load helper

@test "checkout makes an ordinary copy" {
	put a one
	put sub/b two
	ln -s ../a src/sub/link
	ln src/a src/sub/hard
	chmod 750 src/sub
	touch -d '2020-02-03 04:05:06.123456789' src/a src/sub/b
	"$PLEACH" publish -q site ./src
	it 0 checkout site out
	same "$output$stderr" ""
	diff -r --no-dereference src out
	same "$(cd out && find . -printf '%p %m %y %s %l\n' | sort)" \
		"$(cd src && find . -printf '%p %m %y %s %l\n' | sort)"
	same "$(stat -c %Y.%y out/a)" "$(stat -c %Y.%y src/a)"
	[ out/a -ef out/sub/hard ]
	[ ! out/a -ef store/site/a ]
}

@test "writing to a checkout does not reach the store (G4)" {
	two_generations
	"$PLEACH" checkout site out
	echo changed >out/a
	it 0 cat site:a
	same "$output" other
	it 0 check
}

@test "checkout of a path, of an earlier generation, into an empty directory" {
	put sub/b two
	"$PLEACH" publish -q site ./src
	put sub/b three
	"$PLEACH" publish -q site ./src
	mkdir out
	it 0 checkout site@1:sub out
	same "$(cat out/b)" two
}

@test "checkout into what is there already is exit 1, and touches nothing (G7)" {
	two_generations
	mkdir out
	echo mine >out/mine
	it 1 checkout site out
	like "$stderr" "out"
	like "$stderr" "hint: .*--update"
	same "$(ls out)" mine
	echo file >plain
	it 1 checkout site plain
	same "$(cat plain)" file
	it 1 --json checkout site out
	error_is failed
}

@test "checkout --update makes it equal, and removes only with --delete" {
	two_generations
	"$PLEACH" checkout site@1 out
	echo mine >out/mine
	it 0 checkout --update site out
	same "$(cat out/a)" other
	same "$(cat out/c)" three
	same "$(cat out/mine)" mine
	it 0 checkout --update --delete site out
	diff -r src out
	it 2 checkout --delete site new
}

@test "checkout of damaged content is exit 13, and DIR is not made" {
	put a 'some content'
	put b fine
	"$PLEACH" publish -q site ./src
	damage 'some content'
	it 13 checkout site out
	like "$stderr" "a"
	absent out
	same "$(find . -maxdepth 1 -name '.pleach-*')" ""
}

@test "checkout of what is not there" {
	two_generations
	it 10 checkout nosuch out
	it 10 checkout site:nosuch out
	it 1 checkout site no/parent/out
	absent out
}

@test "checkout --json is one document" {
	two_generations
	it 0 checkout --json site out
	json '[.path, .not_restored]' '["out",[]]'
}

@test "what this user may not restore is listed on stderr, exit 3, the rest is done (G8)" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to publish a file of another owner"
	powerless true || skip "setpriv cannot take capabilities away"
	put a one
	put b two
	chown 1234:1234 src/b
	"$PLEACH" publish -q site ./src
	run --separate-stderr powerless "$PLEACH" checkout site out
	same "$status" 3
	like "$stderr" "(^|[^a-z])b: "
	unlike "$stderr" "(^|[^a-z])a: "
	same "$(cat out/a)" one
	same "$(cat out/b)" two
	run --separate-stderr powerless "$PLEACH" --json checkout site again
	same "$status" 3
	json '[.error.code, (.not_restored | map(.path))]' '["partial",["b"]]'
}

@test "checkout --update says of what is in the way that --delete would replace it, no more" {
	two_generations
	mkdir -p out/a
	it 3 checkout --update site out
	like "$stderr" "a: a directory is there; --delete would replace it"
	unlike "$stderr" "hint:"
	it 0 checkout --update --delete site out
	same "$(cat out/a)" other
}
