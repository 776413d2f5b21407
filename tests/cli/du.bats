#!/usr/bin/env bats
# pleach du

load helper

# A store with what there can be: equal files, hard links, several refs, dropped ones.
filled() {
	"$PLEACH" config -q grace=0
	head -c 200000 /dev/zero | tr '\0' x >src/large
	put d/a one
	put d/b one
	ln src/large src/d/link
	"$PLEACH" publish -q site ./src
	cp src/large src/twin
	echo other >>src/large
	"$PLEACH" publish -q site ./src
	"$PLEACH" publish -q other ./src/d
	"$PLEACH" rollback -q site
	rm src/twin
	put d/c three
	"$PLEACH" publish -q site ./src
}

du_total() {
	du -s --block-size=1 "$1" | cut -f 1
}

@test "du says of each generation what it holds, and its total is that of du -s" {
	filled
	it 0 du
	total=$(du_total store)
	like "${lines[0]}" "^ +disk +shared +alone$"
	like "${lines[1]}" "^ +[0-9]+ +[0-9]+ +[0-9]+  other@1 \(head\)$"
	like "${lines[2]}" " 0  site@1$"
	like "${lines[5]}" "  site@4 \(head\)$"
	like "$output" $'\n'" +$total  total"
	it 0 du --json
	json .totals.total "$(du_total store)"
	json '.generations | map([.ref, .generation, .disk == .shared + .alone, .head])' \
		'[["other",1,true,true],["site",1,true,false],["site",2,true,false],["site",3,true,false],["site",4,true,true]]'
	json '.totals | .total == .objects + .nodes + .directories + .copies + .trash + .transactions + .cache + .other + .beside' true
	json '[.generations[] | select(.generation == 1 and .ref == "site").bytes > 200000][0]' true
}

@test "du REF lists the generations of that ref alone" {
	filled
	it 0 du other
	unlike "$output" "site@"
	like "$output" "other@1 "
	it 0 du --json other
	json '[.generations | length, (.[0].placed)]' '[1,true]'
	it 10 du nosuch
	it 10 du --json nosuch
	error_is not-found
	it 2 du site other
}

@test "what du says is alone is what drop and gc free" {
	filled
	"$PLEACH" gc -q
	it 0 du --json site
	alone=$(jq '.generations[] | select(.generation == 2).alone' <<<"$output")
	before=$(jq '.totals | .objects + .nodes + .directories + .copies' <<<"$output")
	[ "$alone" -gt 200000 ]
	"$PLEACH" drop -q --now site@2
	it 0 du --json
	same "$(jq '[.generations[] | select(.ref == "site").generation]' -c <<<"$output")" "[1,3,4]"
	[ "$(jq .totals.unneeded <<<"$output")" -gt 200000 ]
	"$PLEACH" gc -q
	it 0 du --json
	after=$(jq '.totals | .objects + .nodes + .directories + .copies' <<<"$output")
	same "$((before - after))" "$alone"
	json .totals.unneeded 0
}

@test "du changes nothing, and works on a read-only store" {
	filled
	find store -printf '%p %T@ %C@\n' | sort >before
	it 0 du
	find store -printf '%p %T@ %C@\n' | sort >after
	cmp before after
	[ "$(id -u)" -eq 0 ] || skip "mounts need root"
	unshare -m sh -c '
		mount --bind store store && mount -o remount,bind,ro store && ! touch store/x 2>/dev/null &&
		exec "$PLEACH" du --json' >document
	same "$(jq .totals.total document)" "$(du_total store)"
}

@test "du says so where it could not read all" {
	filled
	mkdir store/.pleach/tx/locked
	chmod 0 store/.pleach/tx/locked
	run --separate-stderr powerless "$PLEACH" du
	chmod 0700 store/.pleach/tx/locked
	same "$status" 3
	like "$stderr" "could not be read"
}

@test "du of an empty store" {
	it 0 du
	like "$output" " total"
	unlike "$output" "alone"
	it 0 du --json
	json .generations '[]'
	json .totals.total "$(du_total store)"
}
