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

# Generations of 1 MB each, of which none has anything of another.
large_generations() {
	"$PLEACH" config -q grace=0 keep-placed=1 spares=0 auto-gc=off
	for i in $(seq "$1"); do
		head -c 1000000 /dev/urandom >src/large
		"$PLEACH" publish -q "${2:-site}" ./src
	done
}

store_size() {
	du -s --block-size=1 store/.pleach | cut -f 1
}

@test "gc makes room in a store that is over its max-size, oldest first" {
	large_generations 6
	"$PLEACH" tag site v1 @2
	"$PLEACH" config -q max-size=6M
	it 0 gc -n
	same "${lines[0]}" "site@1 would go: max-size"
	same "${lines[1]}" "site@2 stays: tag v1, keep=all"
	like "$output" $'\n'"site@3 would go: max-size"
	unlike "$output" "site@6 would go"
	like "$output" "would go: [0-9] generations, "
	would=$(grep -c 'would go: max-size' <<<"$output")
	it 0 --json gc -n
	same "$(jq -c '[.dropped, .over, .generations[0].why]' <<<"$output")" "[$would,0,\"max-size\"]"
	[ "$(store_size)" -gt $((6 << 20)) ]
	it 0 -v gc
	same "${lines[0]}" "site@1 dropped: max-size"
	same "${lines[1]}" "site@3 dropped: max-size"
	same "$(grep -c 'dropped: max-size' <<<"$output")" "$would"
	same "$stderr" ""
	[ "$(store_size)" -le $((6 << 20)) ]
	[ "$(store_size)" -gt $((4 << 20)) ] # no more than is needed
	it 10 path site@1
	it 0 path site@v1
	it 0 check
	it 0 gc
	same "$output" "nothing to collect"
	same "$stderr" ""
}

# LEAST ONE OTHER: two numbers that are no more than three in a hundred apart, and LEAST at least.
near() {
	echo "$2 is near $3, and both are at least $1?"
	[ "$2" -ge "$1" ]
	[ "$3" -ge "$1" ]
	[ $((100 * ($2 > $3 ? $2 - $3 : $3 - $2))) -le $((3 * $3)) ]
}

# Eight generations, of which all stay placed, of 100 directories and 16 KB that one file of each is equal to.
eight_generations() {
	local i n
	"$PLEACH" config -q grace=0 keep-placed=100 spares=0 auto-gc=off
	head -c 16384 /dev/urandom >equal
	for n in $(seq 100); do
		mkdir -p "src/d$n/e"
		cp equal "src/d$n/equal"
		echo "$n" >"src/d$n/e/own"
	done
	ln -s "$(printf 'x%.0s' $(seq 200))" src/long
	mkfifo src/fifo
	for i in $(seq 8); do
		head -c 30000 /dev/urandom >src/changed
		head -c 16384 /dev/urandom | tee "src/d$i/equal" >"src/d$i/another" # of these one is a copy
		"$PLEACH" publish -q site ./src
	done
}

# What gc -n says, what gc says, and what is free then: the same.
gc_is_as_foreseen() {
	local before would freed
	before=$(store_size)
	would=$("$PLEACH" --json gc -n | jq .bytes)
	same "$(store_size)" "$before"
	freed=$("$PLEACH" --json gc | jq .bytes)
	near "$1" "$would" "$freed"
	near "$1" "$freed" "$((before - $(store_size)))"
	it 0 check
}

@test "gc -n says how much would be free, with directories and private copies, and gc how much is" {
	eight_generations
	"$PLEACH" config -q keep=7
	gc_is_as_foreseen 800000 # 200 directories; copies of which others have names stay
	"$PLEACH" config -q keep=3
	gc_is_as_foreseen 3200000
	"$PLEACH" tag site v1 @7
	"$PLEACH" config -q max-size=5M
	gc_is_as_foreseen 800000
	"$PLEACH" config -q max-size=1G
	"$PLEACH" publish -q other site@8:d99
	"$PLEACH" drop -q --force --now site
	gc_is_as_foreseen 2000000
}

@test "gc says what stays where max-size cannot be kept" {
	large_generations 2
	large_generations 2 other
	"$PLEACH" config -q max-size=4M
	"$PLEACH" tag site v1 @1
	"$PLEACH" config -q --ref other grace=1h
	head -c 3000000 /dev/urandom >src/large
	"$PLEACH" publish -q other ./src
	local says='^the store (takes|would take) [0-9.]+ MB, [0-9.]+ MB over its max-size, and no more can go; '
	says+='what stays: 2 heads, 1 tagged one, [12] within'
	it 0 gc
	same "${lines[0]}" "nothing can go"
	like "${lines[1]}" "$says"
	same "$stderr" ""
	it 0 -q gc
	same "$output$stderr" ""
	it 0 -q gc -n
	same "${lines[-2]}" "nothing can go"
	like "${lines[-1]}" "$says"
	"$PLEACH" drop -q --now other@1
	it 0 gc
	like "${lines[0]}" " freed$"
	like "${lines[1]}" "${says/\[12\]/1}"
	it 0 --json gc
	[ "$(jq .over <<<"$output")" -gt 1000000 ]
	same "$(jq -r .held_by <<<"$output")" "$("$PLEACH" --json gc | jq -r .held_by)"
	it 0 --json gc -n
	[ "$(jq .over <<<"$output")" -gt 1000000 ]
	same "$(jq .dropped <<<"$output")" 0
	it 0 path site@v1
	it 0 check
}

@test "what makes no room by its drop is not dropped for it" {
	large_generations 3
	"$PLEACH" rollback -q site @1
	head -c 1000000 /dev/urandom >src/large
	"$PLEACH" publish -q site ./src
	"$PLEACH" tag site keep @4
	"$PLEACH" config -q max-size=5M
	it 0 -v gc
	like "$output" "site@2 dropped: max-size"
	unlike "$output" "site@1 dropped"
	same "$("$PLEACH" log --json site | jq -c 'select(.state == "dropped").generation' | sort | tr '\n' ' ')" "2 "
}

@test "what is pinned is not dropped to make room, and what is garbage goes first" {
	large_generations 4
	"$PLEACH" drop -q --now site@3
	"$PLEACH" config -q max-size=5M
	it 0 pin site@1 -- "$PLEACH" -v gc
	unlike "$output" "dropped: max-size" # the garbage sufficed
	"$PLEACH" config -q max-size=4M
	it 0 pin site@1 -- "$PLEACH" -v gc
	like "$output" "site@2 dropped: max-size"
	unlike "$output" "site@1 dropped"
	it 0 path site@1
	[ "$(store_size)" -le $((4 << 20)) ]
}

# NUMBER [REF]: small generations, each with an object of its own.
small_generations() {
	for i in $(seq "$1"); do
		put a "text $RANDOM $i"
		"$PLEACH" publish -q "${2:-site}" ./src
	done
}

kept() {
	"$PLEACH" log --json "${1:-site}" | jq -r 'select(.state == "kept").generation' | wc -l
}

@test "publish collects behind its answer once that is worth it, and gc --auto then has nothing to say" {
	"$PLEACH" config -q grace=0 keep=2 keep-placed=1 spares=0
	small_generations 15
	same "$(kept)" 15
	it 0 gc --auto
	same "$output$stderr" ""
	same "$(kept)" 15
	put a "the last"
	"$PLEACH" -v publish site ./src >both 2>&1
	like "$(head -n 1 both)" "^site@16 "
	like "$(tail -n 1 both)" "collected behind it: 14 generations, 14 trees, 14 objects"
	same "$(kept)" 2
	same "$(objects)" 2
	it 0 gc --auto
	same "$output$stderr" ""
	it 0 gc
	same "$output" "nothing to collect"
	small_generations 3
	same "$(kept)" 5
	it 0 check
}

@test "run and commit collect behind them, too, and gc --auto by hand" {
	"$PLEACH" config -q grace=0 keep=1 keep-placed=1 spares=0
	small_generations 15
	"$PLEACH" run -q site -- sh -c 'echo run >"$PLEACH_PATH/a"'
	same "$(kept)" 1
	small_generations 15
	tx=$("$PLEACH" begin site --checkout work | head -n 1)
	echo tx >work/a
	"$PLEACH" commit -q "$tx"
	same "$(kept)" 1
	"$PLEACH" config -q auto-gc=off
	small_generations 20
	same "$(kept)" 21
	it 0 gc --auto
	same "$output$stderr" ""
	same "$(kept)" 21
	"$PLEACH" config -q auto-gc=on
	small_generations 15
	"$PLEACH" drop -q --now site@40
	it 0 gc --auto
	like "$output" "^3[0-9] generations, .* freed$"
	it 2 gc -n --auto
}

@test "where all is kept nothing is collected behind a publish" {
	small_generations 18
	same "$(kept)" 18
	it 0 gc --auto
	same "$output" ""
}

@test "what collects behind a publish never fails it" {
	"$PLEACH" config -q grace=0 keep=2 keep-placed=1 spares=0
	small_generations 15
	rm -r store/.pleach/trash/* && mkdir store/.pleach/trash/collector
	put a "the last"
	it 0 publish site ./src
	like "$output" "^site@16 "
	same "$stderr" ""
}

@test "a store stays within its max-size by what collects behind its publishes" {
	"$PLEACH" config -q grace=0 keep-placed=1 spares=0 max-size=6M
	for i in 1 2 3 4 5 6 7 8 9; do
		head -c 1000000 /dev/urandom >src/large
		it 0 publish site ./src
	done
	[ "$(store_size)" -le $((6 << 20)) ]
	[ "$(kept)" -ge 3 ]
	it 0 check
}

@test "a publish that would take a store over its max-size makes room, and is refused where there is none" {
	"$PLEACH" config -q grace=0 keep-placed=1 spares=0 max-size=6M auto-gc=off
	"$PLEACH" gc -q # its size is known from now on
	for i in 1 2 3 4 5 6 7 8 9; do
		head -c 1000000 /dev/urandom >src/large
		it 0 publish site ./src
		[ "$(store_size)" -le $((6 << 20)) ]
	done
	head -c 1000000 /dev/urandom >large
	it 0 run site -- sh -c 'cat large >"$PLEACH_PATH/large"'
	[ "$(store_size)" -le $((6 << 20)) ]
	for n in $("$PLEACH" log --json site | jq -r 'select(.state == "kept").generation'); do
		"$PLEACH" tag site "keep$n" "@$n"
	done
	before=$("$PLEACH" log --json site | jq -r .generation | head -n 1)
	head -c 3000000 /dev/urandom >src/large
	it 14 publish site ./src
	like "$stderr" "its max-size is 6291456"
	like "$stderr" "hint: nothing more can go"
	it 14 --json publish site ./src
	error_is no-space
	same "$("$PLEACH" log --json site | jq -r .generation | head -n 1)" "$before"
	same "$(ls store/.pleach/tx)" ""
	it 0 publish -n site ./src
	"$PLEACH" config -q max-size=1G
	it 0 publish site ./src
	it 0 check
}

@test "what is known wrongly of the size of a store refuses nothing" {
	large_generations 1
	"$PLEACH" config -q max-size=8M
	echo "pleach collected 1 8388608 0" >store/.pleach/cache/collected
	head -c 1000000 /dev/urandom >src/large
	it 0 publish site ./src
	same "$(kept)" 2
	printf 'damaged' >store/.pleach/cache/collected
	printf 'odd' >store/.pleach/cache/grown
	it 0 publish site ./src -m same
	put b other
	it 0 publish site ./src
	it 0 gc --auto
}

twelve_generations() {
	local n
	"$PLEACH" config -q grace=0
	"$PLEACH" config -q auto-gc=off
	for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
		put a "$n"
		"$PLEACH" publish -q site ./src
	done
}

@test "a record that is missing ends a collection, and takes nothing behind it along" {
	local lost before
	twelve_generations
	before=$(objects)
	for lost in 1 2 3 7 11 12; do
		mv "store/.pleach/refs/site/gen/$lost" lost
		rm -f store/.pleach/cache/head-*
		it 13 gc
		like "$stderr" "'site'"
		same "$(objects) $(ls store/.pleach/trees | wc -l)" "$before 12"
		if [ "$lost" -eq 12 ]; then
			it 13 publish site ./src
			it 13 status
			same "$(cat store/site/a)" 12
		fi
		mv lost "store/.pleach/refs/site/gen/$lost"
	done
	it 0 check
	it 0 gc
}

@test "the tree of a head, a tag or a recent generation that is missing ends a collection" {
	local before
	twelve_generations
	before=$(objects)
	mv store/.pleach/trees trees
	mkdir -m 755 store/.pleach/trees
	it 13 gc
	like "$stderr" "nothing is collected: the tree .* is missing"
	like "$stderr" "hint: mend the store first: pleach check --repair"
	same "$(objects)" "$before"
	it 0 check --repair
	it 0 gc
	same "$(objects)" "$before"
	same "$(cat store/site/a)" 12
}

@test "what fits in the place of a head that takes too much can be published, and that head then goes" {
	"$PLEACH" config -q grace=0 keep-placed=1 spares=0 auto-gc=off
	head -c 6000000 /dev/urandom >src/large
	"$PLEACH" publish -q site ./src
	"$PLEACH" config -q max-size=5M
	it 0 gc
	like "$output" "over its max-size"
	head -c 5500000 /dev/urandom >src/large # smaller, and never fits
	it 14 publish site ./src
	head -c 2000000 /dev/urandom >src/large
	"$PLEACH" tag site v1 @1 # who is to stay makes no room
	it 14 publish site ./src
	like "$stderr" "hint: nothing more can go"
	"$PLEACH" tag --delete site v1
	it 14 publish new ./src # which replaces nothing
	it 0 publish site ./src
	it 0 gc
	[ "$(store_size)" -le $((5 << 20)) ]
	it 10 path site@1
	same "$(kept)" 1
	it 0 check
}

@test "what could never fit takes nothing of others with it" {
	large_generations 3
	"$PLEACH" config -q max-size=6M
	"$PLEACH" gc -q
	local before
	before=$(kept)
	head -c 9000000 /dev/urandom >src/large
	it 14 publish site ./src
	same "$(kept)" "$before"
}
