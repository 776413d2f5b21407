#!/usr/bin/env bats
# pleach gc

load helper

garbage() {
	two_generations
	"$PLEACH" drop -q --now site@1
}

objects() {
	find store/.pleach/objects -type f | wc -l
}

@test "gc erases what only dropped generations had" {
	garbage
	before=$(objects)
	it 0 gc
	like "$output" "objects?, [0-9]+ nodes?: .* freed$"
	[ "$(objects)" -lt "$before" ]
	same "$(cat store/site/a)" other
	it 0 check
	it 0 gc
	same "$output" "nothing to collect"
}

@test "gc -n says what would go and takes nothing" {
	garbage
	before=$(objects)
	it 0 gc -n
	same "${lines[0]}" "site@2 stays: head, keep=all"
	like "${lines[1]}" "^would go: 0 trees, [0-9]+ objects?"
	same "$(objects)" "$before"
	it 0 -q gc -n
	like "${lines[1]}" "^would go: "
	it 0 --json gc -n
	same "$(jq -c '[.dry_run, .complete, .trees, .put_back]' <<<"$output")" "[true,true,0,0]"
	[ "$(jq .objects <<<"$output")" -gt 0 ]
}

@test "gc -n and gc --why work where the store cannot be written, and change nothing" {
	powerless true || skip "setpriv cannot take capabilities away"
	garbage
	local before
	"$PLEACH" config keep=1
	before=$(find store | sort)
	find store -type d -not -regex '.*/trees/[^/]*/[0-9]+/tree.*' -exec chmod u-w {} +
	run --separate-stderr powerless "$PLEACH" gc -n
	same "$status $stderr" "0 "
	like "${lines[1]}" "^would go: 0 trees, [0-9]+ objects?"
	run --separate-stderr powerless "$PLEACH" gc --why site
	same "$status $stderr" "0 "
	like "$output" "the head: generation 2 of 'site'"
	find store -type d -not -regex '.*/trees/[^/]*/[0-9]+/tree.*' -exec chmod u+w {} +
	same "$(find store | sort)" "$before"
}

@test "gc -n writes nothing where it could, nor recovers" {
	garbage
	mkfifo at
	"$PLEACH" run site -- sh -c 'echo at >at; sleep 1000' 3>&- &
	local runner=$! line
	read -r line <at
	kill -KILL "$runner"
	wait "$runner" || true
	it 0 gc -n
	same "$(find store/.pleach/tx -mindepth 1 -maxdepth 1 | wc -l)" 1
	until it 0 gc; do :; done
	same "$(ls store/.pleach/tx)" ""
}

@test "gc --json says what went and what stays" {
	garbage
	it 0 --json gc
	[ "$(jq .objects <<<"$output")" -gt 0 ]
	[ "$(jq .bytes <<<"$output")" -gt 0 ]
	same "$(jq .kept_objects <<<"$output")" "$(objects)"
	it 0 -q gc
	same "$output" ""
}

@test "gc --max-time ends soon and says that it is not through" {
	garbage
	it 0 gc --max-time=0s
	it 0 gc
	it 0 check
	it 2 gc --max-time=soon
	it 2 gc site
	"$PLEACH" --json gc site >document 2>/dev/null || same "$(jq -r '.error.hint' document)" "usage: pleach gc"
}

@test "a second gc at once is refused with 11" {
	garbage
	it 0 gc
	exec 8<>store/.pleach/trash/collector
	python3 - <<-'EOF' &
		import fcntl, os, struct, time
		lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
		fd = os.open("store/.pleach/trash/collector", os.O_RDWR)
		fcntl.fcntl(fd, 37, lock)  # F_OFD_SETLK
		open("locked", "w").close()
		while not os.path.exists("end"):
		    time.sleep(0.05)
	EOF
	until [ -e locked ]; do sleep 0.05; done
	it 11 gc
	like "$stderr" "already"
	it 11 --json gc
	error_is busy
	touch end
	wait
	it 0 gc
}

@test "gc --why says who has a generation" {
	two_generations
	it 0 gc --why site
	same "$output" "the head: generation 2 of 'site', placed"
	it 0 gc --why site@1
	same "$output" "generation 1 of 'site', placed"
	"$PLEACH" tag site keep @1
	"$PLEACH" attach -q site@1 there
	like "$("$PLEACH" gc --why site@1)" "tag 'keep' of 'site'"
	like "$("$PLEACH" gc --why site@1)" "attached at .*/there"
	it 0 pin site@1 -- "$PLEACH" gc --why site@1
	like "$output" "pinned by process"
	it 0 --json gc --why site@1
	same "$(jq -r '[.reasons[].kind] | sort | join(" ")' <<<"$output")" "attached generation tag"
	same "$(jq .stays <<<"$output")" true
	it 10 gc --why site@7
	it 2 gc --why some/path
}

@test "gc --why of a file of the store says which trees name it" {
	two_generations
	tree=$("$PLEACH" --json log site | jq -r 'select(.generation == 1).tree')
	it 0 gc --why "store/.pleach/trees/$tree/1/tree/a"
	same "$output" "generation 1 of 'site', placed"
	it 0 gc --why "store/.pleach/nodes/${tree:0:2}/${tree:2}"
	same "${lines[0]}" "tree:${tree:0:12} has it, as '.'"
	same "${lines[1]}" "generation 1 of 'site', placed"
	object=$("$PLEACH" --json ls site@1 | jq -r 'select(.path == "a").object')
	it 0 gc --why "store/.pleach/objects/${object:0:2}/${object:2}"
	same "${lines[0]}" "tree:${tree:0:12} has it, as 'a'"
	"$PLEACH" drop -q --now site@1
	it 0 gc --why "store/.pleach/objects/${object:0:2}/${object:2}"
	like "$stderr" "nobody has"
	it 0 --json gc --why "store/.pleach/objects/${object:0:2}/${object:2}"
	same "$(jq -c '[.stays, .reasons]' <<<"$output")" "[false,[]]"
}

@test "gc drops what the settings keep no longer" {
	"$PLEACH" init -q store
	"$PLEACH" config -q grace=0 keep-placed=1 spares=0
	for i in 1 2 3 4 5; do
		put a "text $i"
		"$PLEACH" publish -q site ./src
	done
	"$PLEACH" tag site keep @2
	it 0 gc -n
	unlike "$output" "would go"
	"$PLEACH" config -q --ref site keep=2
	it 0 gc -n
	same "${lines[0]}" "site@1 would go: no rule keeps it"
	same "${lines[1]}" "site@2 stays: tag keep"
	same "${lines[2]}" "site@3 would go: no rule keeps it"
	same "${lines[4]}" "site@5 stays: head, keep=2"
	like "${lines[5]}" "^would go: 2 generations, 2 trees, 2 objects, 2 nodes: "
	it 0 --json gc -n
	same "$(jq -c '[.dropped, .trees, .objects, .nodes, [.generations[].fate]]' <<<"$output")" \
		'[2,2,2,2,["goes","stays","goes","stays","stays"]]'
	it 0 pin site@3 -- "$PLEACH" gc -n
	like "$output" "site@3 stays: .*pinned"
	it 0 -v gc
	same "${lines[0]}" "site@1 dropped: no rule keeps it"
	same "${lines[1]}" "site@3 dropped: no rule keeps it"
	like "${lines[2]}" "^2 generations, 2 trees, 2 objects, 2 nodes: .* freed$"
	it 10 path site@1
	it 0 path site@2
	it 0 gc
	same "$output" "nothing to collect"
	it 0 check
}

@test "gc inside of a transaction keeps what it cannot see the need of" {
	garbage
	for i in 3 4 5; do
		put a "$i"
		"$PLEACH" publish -q site ./src
	done
	it 0 run site -- sh -c '"$PLEACH" gc >out || exit 9
		"$PLEACH" gc -n >>out || exit 9
		echo mine >"$PLEACH_PATH/a"'
	like "$(head -n 1 out)" " freed$"
	same "$(tail -n 1 out)" "nothing to collect"
	same "$(cat store/site/a)" mine
	it 0 check
}
