#!/usr/bin/env bats
# pleach path, pleach wait

load helper

@test "path prints where a revision is placed, as an absolute path" {
	two_generations
	it 0 path site
	like "$output" "^/"
	same "$(cat "$output/a")" other
	it 0 path site@1
	same "$(cat "$output/a")" one
	it 0 path site@1:b
	same "$(cat "$output")" two
	it 0 path --json site
	json keys '["path"]'
}

@test "path is not the public path, which moves" {
	two_generations
	local before
	before=$("$PLEACH" path site)
	put a third
	"$PLEACH" publish -q site ./src
	same "$(cat "$before/a")" other
}

@test "path places what is not placed" {
	two_generations
	local n tree
	for n in 3 4 5 6; do
		put a "$n"
		"$PLEACH" publish -q site ./src
	done
	it 0 path site@1
	same "$(cat "$output/b")" two
	tree=$("$PLEACH" log --json site | jq -r 'select(.generation == 2).tree')
	it 0 path "tree:$tree"
	same "$(cat "$output/a")" other
}

# The filter of a placed tree is made for as many files as the tree has: full, it makes each a copy.
@test "path places a tree of many files by links, not by copies" {
	"$PLEACH" config grace=0 spares=0 keep-placed=1 durability=none
	(cd src && seq 4000 | split -l 1 -a 4)
	"$PLEACH" publish -q site ./src
	rm -r src
	mkdir src
	put a one
	"$PLEACH" publish -q site ./src
	put a two
	"$PLEACH" publish -q site ./src
	it 0 path site@1
	same "$(find "$output" -type f | wc -l)" 4000
	[ "$(find "$output" -type f -links 1 | wc -l)" -lt 100 ]
}

@test "path of what is not there is exit 10, of what is no revision 2" {
	two_generations
	for rev in nosuch site@9 site@-9 site:nosuch; do
		it 10 path "$rev"
		same "$output" ""
	done
	it 2 path 'no revision'
	it 10 path --json nosuch
	error_is not-found
}

@test "wait --after an older generation prints the head at once" {
	two_generations
	it 0 wait --after 1 site
	same "$output" 2
	it 0 wait --after 0 --json site
	json . '{"ref":"site","generation":2}'
}

@test "wait gives up after --timeout with exit 11" {
	two_generations
	it 11 wait --timeout 0s site
	same "$output" ""
	it 11 wait --after 2 --timeout 0s site
	it 11 --json wait --timeout=0s site
	error_is busy
	it 11 wait --timeout 0s nosuch
}

@test "wait ends when there is a newer generation" {
	two_generations
	"$PLEACH" wait --after 2 --timeout 10m site >out 3>&- &
	local waiter=$!
	put a third
	"$PLEACH" publish -q site ./src
	wait "$waiter"
	same "$(cat out)" 3
}

@test "wait for a ref that is not there yet" {
	"$PLEACH" wait --after 0 --timeout 10m site >out 3>&- &
	local waiter=$!
	put a one
	"$PLEACH" publish -q site ./src
	wait "$waiter"
	same "$(cat out)" 1
}
