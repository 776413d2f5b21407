#!/usr/bin/env bats
# pleach tag

load helper

@test "tag names the head, or a revision, and tags are listed by name" {
	two_generations
	it 0 tag site v2
	it 0 tag site v1 site@1
	it 0 tag site also1 @1
	it 0 tag site
	same "$output" $'also1 1\nv1 1\nv2 2'
	it 0 tag --json site
	json . '{"ref":"site","tags":[{"name":"also1","generation":1},{"name":"v1","generation":1},{"name":"v2","generation":2}]}'
	it 0 ls site@v1
	same "$output" $'a\nb'
}

@test "a tag of another generation is moved with --force only" {
	two_generations
	it 0 tag site v @1
	it 0 tag site v @1
	it 1 tag site v @2
	like "$stderr" "'?v'?"
	like "$stderr" "hint: .*--force"
	same "$("$PLEACH" tag site)" "v 1"
	it 0 tag --force site v @2
	same "$("$PLEACH" tag site)" "v 2"
}

@test "a tag that looks like a number, or is no name, is a usage error" {
	two_generations
	for name in 1 007 -1 a/b 'a b' .x x.lock tree ''; do
		it 2 tag site -- "$name"
	done
	it 0 tag site 1a
}

@test "tag --delete" {
	two_generations
	"$PLEACH" tag site v
	it 0 tag --delete site v
	same "$("$PLEACH" tag site)" ""
	it 10 tag --delete site v
	it 10 path site@v
	it 2 tag --delete site
	it 2 tag --delete site a b
}

@test "tag of what is not there is exit 10" {
	two_generations
	it 10 tag nosuch
	it 10 tag nosuch v
	it 10 tag site v @9
	it 10 --json tag site v @9
	error_is not-found
}

@test "tag --json says what was done" {
	two_generations
	it 0 tag --json site v @1
	json . '{"ref":"site","name":"v","generation":1,"unchanged":false}'
	it 0 tag --json site v @1
	json .unchanged true
	it 0 tag --json --delete site v
	json . '{"ref":"site","name":"v","deleted":true}'
}
