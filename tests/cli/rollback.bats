#!/usr/bin/env bats
# pleach rollback

load helper

@test "rollback publishes the generation before the head again, as a new one" {
	two_generations
	it 0 rollback site
	like "$output" '^site@3 [0-9a-f]{12} \+1 ~1 -1, 0 B new$'
	same "$(cat store/site/a)" one
	same "$(heads site)" "3 2 1 "
	it 0 log -n1 --json site
	json '[.kind, .generation]' '["rollback",3]'
	same "$("$PLEACH" log --json -n1 site | jq -r .tree)" \
		"$("$PLEACH" log --json site | jq -r 'select(.generation == 1).tree')"
}

@test "rollback takes @N, @-K, @TAG, REF@N and tree:HEX" {
	two_generations
	"$PLEACH" tag site first @1
	local rev tree
	tree=$("$PLEACH" log --json site | jq -r 'select(.generation == 1).tree')
	for rev in @1 @-1 @first site@1 "tree:${tree:0:12}"; do
		it 0 rollback site "$rev"
		same "$(cat store/site/a)" one
		"$PLEACH" publish -q site ./src
	done
}

@test "rollback to the tree of the head makes no generation" {
	two_generations
	it 0 rollback site @2
	like "$output" '^site@2 [0-9a-f]{12} unchanged$'
	same "$(heads site)" "2 1 "
}

@test "rollback -n, --if-head and -m" {
	two_generations
	it 0 rollback -n site
	like "$output" '\+1 ~1 -1'
	same "$(heads site)" "2 1 "
	it 12 rollback --if-head 1 site
	it 0 rollback --if-head 2 -m 'went wrong' site
	it 0 log -n1 --json site
	json .message '"went wrong"'
}

@test "rollback --json is as publish's" {
	two_generations
	it 0 rollback --json site
	json keys '["bytes_new","changed","generation","parent","ref","tree","unchanged"]'
	json '[.generation, .parent]' '[3,2]'
}

@test "rollback of what is not there is exit 10" {
	it 10 rollback nosuch
	put a one
	"$PLEACH" publish -q site ./src
	it 10 rollback site
	it 10 rollback site @7
	it 10 rollback --json site @notag
	error_is not-found
}

@test "rollback leaves a foreign public path alone (G7)" {
	two_generations
	rm store/site
	echo mine >store/site
	it 1 rollback site
	same "$(cat store/site)" mine
	same "$(heads site)" "2 1 "
}
