#!/usr/bin/env bats
# Transactions in steps: pleach begin, run --tx, status, diff, commit, abort.

load helper

# begin ARGUMENT...: begins one on site. $tx is its id, $path its path or "".
begin() {
	it 0 begin site "$@" || return 1
	tx=${lines[0]}
	path=${lines[1]:-}
	like "$tx" '^[0-9a-f]{24}$'
}

nothing_remains() {
	it 0 status --json
	json '[.transactions, .leftovers]' '[[],[]]'
	same "$(ls store/.pleach/tx)" ""
}

@test "begin prints an id, and a path where there is one" {
	two_generations
	begin --workspace=copy
	like "$path" '^/'
	same "$(cat "$path/a")" other
	same "${#lines[@]}" 2
	it 0 abort "$tx"
	it 0 begin --json site
	json keys '["base","expires","path","ref","tx","workspace"]'
	json '[.ref, .base, (.tx | length)]' '["site",2,24]'
	it 0 abort "$(printf '%s\n' "$output" | jq -r .tx)"
	nothing_remains
}

@test "begin, run --tx as often as needed, commit" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo "$PLEACH_TX $PLEACH_BASE"; echo one >"$PLEACH_PATH/one"'
	same "$output" "$tx 2"
	same "$stderr" ""
	it 0 run --tx "$tx" site -- sh -c 'cat "$PLEACH_PATH/one"; rm "$PLEACH_PATH/c"'
	same "$output" one
	it 0 run --tx "$tx" -- sh -c 'echo without the ref >"$PLEACH_PATH/two"'
	absent store/site/one
	same "$(heads site)" "2 1 "
	it 0 commit "$tx" -m "in steps"
	like "$output" '^site@3 [0-9a-f]{12} \+2 ~0 -1, '
	same "$stderr" ""
	same "$(cat store/site/two)" "without the ref"
	absent store/site/c
	it 0 log --json -n 1 site
	json '[.kind, .message]' '["run","in steps"]'
	it 10 commit "$tx"
	nothing_remains
	it 0 check
}

@test "a command that fails leaves the transaction as it is, and its status is passed on" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	it 9 run --tx "$tx" --status-fd 9 site -- sh -c 'echo two >"$PLEACH_PATH/two"; exit 9' 9>line
	output=$(cat line)
	json '[.by, .status, .tx, .kept, .generation]' "[\"command\",9,\"$tx\",true,null]"
	it 137 run --tx "$tx" site -- sh -c 'kill -KILL $$'
	it 127 run --tx "$tx" site -- nosuch-command
	it 0 diff "$tx"
	same "$output" $'A one\nA two'
	it 0 commit "$tx"
	same "$(cat store/site/two)" two
}

@test "pleach killed in a step leaves the transaction to go on with" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	mkfifo at
	# shellcheck disable=SC2016
	"$PLEACH" run --tx "$tx" site -- sh -c 'echo at >at; sleep 1000' 3>&- &
	local runner=$!
	read -r line <at
	it 11 run --tx "$tx" site -- touch ran
	it 11 commit "$tx"
	it 11 abort "$tx"
	it 11 --json commit "$tx"
	error_is busy
	it 0 status --json "$tx"
	json '.transactions | map([.tx, .kind])' "[[\"$tx\",\"open\"]]"
	kill -KILL "$runner"
	wait "$runner" || true
	until it 0 run --tx "$tx" site -- true; do same "$status" 11; done
	absent ran
	it 0 commit "$tx"
	same "$(cat store/site/one)" one
	nothing_remains
}

@test "inside of a step the transaction is busy with that, and diff shows what it did so far" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	# shellcheck disable=SC2016
	it 0 run --tx "$tx" site -- sh -c 'echo two >"$PLEACH_PATH/two"
		"$PLEACH" commit "$PLEACH_TX" 2>"$0.commit"; test $? = 11 || exit 8
		"$PLEACH" diff "$PLEACH_TX" >"$0.diff"' "$PWD/out"
	like "$(cat out.commit)" "hint: end the command that runs in it first"
	same "$(cat out.diff)" $'A one\nA two'
	it 0 abort "$tx"
}

@test "abort: nothing of it remains" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	it 0 abort "$tx"
	same "$output$stderr" ""
	same "$(heads site)" "2 1 "
	nothing_remains
	begin
	it 0 abort --json "$tx"
	json . "{\"tx\":\"$tx\",\"ref\":\"site\",\"aborted\":true}"
	it 10 abort "$tx"
	it 10 --json abort "$tx"
	error_is not-found
}

@test "unknown: commit, abort, status, diff are 10, run --tx is 125" {
	two_generations
	for words in commit abort status diff; do
		it 10 "$words" 0123456789abcdef01234567
		like "$stderr" '^pleach: '
	done
	it 125 run --tx 0123456789abcdef01234567 site -- touch ran
	absent ran
	for words in commit abort begin; do
		it 2 "$words"
	done
	it 10 begin nosuch
	it 2 begin 'no ref'
	it 2 begin --timeout 5 site
	it 2 begin --workspace=bogus site
	nothing_remains
}

@test "a transaction is on its ref alone" {
	two_generations
	"$PLEACH" publish -q other ./src
	begin
	it 125 run --tx "$tx" other -- touch ran
	like "$stderr" "is one on 'site', not on 'other'"
	absent ran
	it 0 abort "$tx"
}

@test "a unique beginning of the id will do" {
	two_generations
	begin
	it 0 run --tx "${tx:0:12}" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	it 0 status --json "${tx:0:8}"
	json '.transactions | map(.tx)' "[\"$tx\"]"
	it 0 diff "${tx:0:8}"
	same "$output" "A one"
	it 0 commit "${tx:0:12}"
	same "$(cat store/site/one)" one
}

@test "status lists transactions, with their workspaces and when they expire" {
	two_generations
	begin --workspace=copy --timeout 1h
	it 0 status
	like "$output" "parked +$tx +on site@2, copy, expires 20"
	it 0 status --json
	json '.transactions | map(keys)' \
		'[["base","base_tree","bytes","bytes_are_least","expires","kind","optimistic","path","public_path","ref","serializable","tx","workspace"]]'
	json '.transactions | map([.tx, .kind, .ref, .base, .workspace, .optimistic])' \
		"[[\"$tx\",\"parked\",\"site\",2,\"copy\",true]]"
	json '.transactions[0] | [.path, .public_path]' "[\"$path\",\"$PWD/store/site\"]"
	json '.transactions[0].expires | test("^20[0-9-]*T[0-9:.]*Z$")' true
	it 0 status --json site
	json '[(.refs | map(.ref)), (.transactions | map(.tx))]' "[[\"site\"],[\"$tx\"]]"
	it 0 status --json "$tx"
	json '[.refs, (.transactions | map(.tx))]' "[[],[\"$tx\"]]"
	it 0 abort "$tx"
	nothing_remains
}

@test "status lists a run that is at work as open" {
	two_generations
	mkfifo at go
	# shellcheck disable=SC2016
	"$PLEACH" run --optimistic site -- sh -c 'echo "$PLEACH_TX" >at; read -r line <go' 2>/dev/null 3>&- &
	local runner=$!
	read -r tx <at
	it 0 status --json
	json '.transactions | map([.tx, .kind, .ref, .base, .optimistic, .expires])' \
		"[[\"$tx\",\"open\",\"site\",2,true,null]]"
	it 0 status
	like "$output" "open +$tx +on site@2, [a-z-]+, optimistic"
	echo go >go
	wait "$runner"
}

@test "an expired transaction is not found, and goes" {
	two_generations
	begin --timeout 1s
	it 0 run --tx "$tx" site -- sh -c 'echo one >"$PLEACH_PATH/one"'
	until ! "$PLEACH" status --json "$tx" >status.json 2>/dev/null ||
		jq -e '.transactions[0].kind == "expired"' status.json >/dev/null; do :; done
	it 10 commit "$tx"
	it 10 abort "$tx"
	it 125 run --tx "$tx" site -- true
	same "$(heads site)" "2 1 "
	it 0 run site -- true
	nothing_remains
}

@test "the directory of an expired --checkout stays, and status says so (G7)" {
	two_generations
	begin --checkout work --timeout 1s
	echo by hand >work/a
	it 0 status
	like "$output" "parked +$tx +on site@2, copy, expires"
	like "$output" "$PWD/work"
	until ! "$PLEACH" status --json "$tx" >status.json 2>/dev/null ||
		jq -e '.transactions[0].kind == "expired"' status.json >/dev/null; do :; done
	it 10 commit "$tx"
	same "$(cat work/a)" "by hand"
	nothing_remains
	it 0 status
	like "$output" "kept: $PWD/work"
	# Another one at its place is none of its.
	begin --checkout other --timeout 1s
	mv other moved
	mkdir other
	until ! "$PLEACH" status --json "$tx" >status.json 2>/dev/null ||
		jq -e '.transactions[0].kind == "expired"' status.json >/dev/null; do :; done
	it 10 commit "$tx"
	it 0 status
	unlike "$output" "kept: $PWD/other"
}

@test "diff TX shows what it has changed so far, in every form" {
	two_generations
	begin
	it 0 diff "$tx"
	same "$output" ""
	it 0 diff --exit-code "$tx"
	it 0 run --tx "$tx" site -- sh -c 'cd "$PLEACH_PATH"
		echo more >>a; rm c; mkdir d; echo new >d/e; ln -s a l'
	it 0 diff "$tx"
	same "$(printf '%s\n' "$output" | sort)" $'A d\nA d/e\nA l\nD c\nM a'
	it 1 diff --exit-code "$tx"
	it 0 diff --name-only "$tx" -- d/ ./l
	same "$output" $'d\nd/e\nl'
	it 0 diff "$tx" -- .
	same "${#lines[@]}" 5
	it 0 diff "$tx" -- nothing
	same "$output" ""
	it 0 diff --stat "$tx"
	like "$output" '5 paths: 3 added, 1 modified, 1 removed'
	it 0 diff --json "$tx" -- a
	json '[.path, .change, .old.size, .new.size]' '["a","M",6,11]'
	it 0 diff -p "$tx" -- a c d/e
	like "$output" $'--- a/a\n\+\+\+ b/a\n@@ -1 \+1,2 @@\n other\n\+more'
	like "$output" $'-three'
	like "$output" $'\+new'
	it 2 diff "$tx" site
	it 2 diff "$tx" ./src
	it 0 abort "$tx"
}

@test "diff -p works in each workspace" {
	two_generations
	local workspace
	for workspace in overlay reflink copy; do
		run --separate-stderr "$PLEACH" begin --workspace=$workspace site
		[ "$status" -eq 0 ] || continue
		tx=${lines[0]}
		it 0 run --tx "$tx" site -- sh -c 'echo more >>"$PLEACH_PATH/a"; echo new >"$PLEACH_PATH/-n"'
		it 0 diff -p "$tx"
		like "$output" $'\+more'
		like "$output" $'b/-n\n@@ -0,0 \+1 @@\n\+new'
		it 0 abort "$tx"
	done
}

@test "a ref whose name could be an id is the ref" {
	two_generations
	"$PLEACH" publish -q abcdef0123 ./src
	it 0 diff abcdef0123
	same "$(printf '%s\n' "$output" | wc -l)" 2
	it 0 status --json abcdef0123
	json '.refs | map(.ref)' '["abcdef0123"]'
}

@test "begin --checkout works in a plain directory" {
	two_generations
	begin --checkout work
	same "$path" "$PWD/work"
	same "$(cat work/a)" other
	echo by hand >work/a
	mkdir work/d
	it 0 diff "$tx"
	same "$output" $'M a\nA d'
	it 0 diff -p "$tx" -- a
	like "$output" $'\+by hand'
	it 0 commit "$tx"
	like "$output" '^site@3 [0-9a-f]{12} \+1 ~1 -0, '
	same "$(cat store/site/a)" "by hand"
	it 0 check
	same "$("$PLEACH" cat site@2:a)" other
}

@test "abort removes the directory of --checkout, and what is not ours is refused" {
	two_generations
	begin --checkout work
	echo by hand >work/a
	it 0 abort "$tx"
	absent work
	mkdir full
	: >full/of
	it 1 begin --checkout full site
	like "$stderr" "'full' is not empty"
	like "$stderr" 'hint: name one that is new or empty'
	unlike "$stderr" '--update'
	it 1 --json begin --checkout full site
	json '[.error.code, .error.path]' '["failed","full"]'
	same "$(ls full)" of
	nothing_remains
}

@test "begin --create begins with nothing" {
	it 10 begin new
	it 0 begin --create new
	tx=${lines[0]}
	it 0 run --tx "$tx" new -- sh -c 'echo a >"$PLEACH_PATH/a"'
	absent store/new/a
	it 10 log new
	it 0 commit "$tx"
	like "$output" '^new@1 '
	same "$(cat store/new/a)" a
}

@test "commit merges with what was published meanwhile" {
	two_generations
	begin
	it 0 run --tx "$tx" site -- sh -c 'echo mine >"$PLEACH_PATH/mine"'
	put theirs theirs
	"$PLEACH" publish -q site ./src
	it 0 commit "$tx"
	like "$output" '^site@4 '
	same "$(cat store/site/mine)" mine
	same "$(cat store/site/theirs)" theirs
}

@test "a commit of nothing is no generation" {
	two_generations
	begin
	it 0 commit "$tx"
	like "$output" '^site@2 [0-9a-f]{12} unchanged$'
	begin
	it 0 commit --json "$tx"
	json '[keys, .unchanged, .generation]' \
		'[["bytes_new","changed","generation","parent","ref","tree","unchanged"],true,2]'
	begin
	it 0 commit -q "$tx"
	same "$output$stderr" ""
	nothing_remains
}

@test "an id that cannot be printed is one that nobody has" {
	two_generations
	run -14 --separate-stderr bash -c '"$PLEACH" begin site >/dev/full'
	nothing_remains
	run -14 --separate-stderr bash -c '"$PLEACH" begin --json site >/dev/full'
	nothing_remains
}

@test "a parked transaction holds no queue, and its base is not dropped" {
	two_generations
	begin
	it 0 run --no-wait site -- sh -c 'echo x >"$PLEACH_PATH/x"'
	"$PLEACH" config grace=0s keep-placed=1 spares=0
	it 0 run --no-wait site -- sh -c 'echo y >"$PLEACH_PATH/x"'
	it 0 run --tx "$tx" site -- sh -c 'cat "$PLEACH_PATH/a"; echo z >"$PLEACH_PATH/z"'
	same "$output" other
	it 0 commit "$tx"
	same "$(cat store/site/x)" y
	same "$(cat store/site/z)" z
}

@test "a parked transaction is listed where the store cannot be written" {
	[ "$(id -u)" -eq 0 ] || skip "only root may mount"
	unshare --mount true 2>/dev/null || skip "no mount namespaces here"
	two_generations
	begin
	# shellcheck disable=SC2016
	run --separate-stderr unshare --mount --propagation private sh -c '
		mount --bind store store && mount -o remount,bind,ro store && ! touch store/x 2>/dev/null &&
			"$0" status --json' "$PLEACH"
	same "$status$stderr" 0
	json '.transactions | map([.tx, .kind])' "[[\"$tx\",\"parked\"]]"
}
