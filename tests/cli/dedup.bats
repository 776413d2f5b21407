#!/usr/bin/env bats
# pleach dedup

load helper

# Two trees with an equal file each, and one of each that is other. No store is needed.
two_trees() {
	export PLEACH_STORE=/nonexistent
	mkdir -p t/a t/b
	printf 'equal in both\n' >t/a/file
	cp -p t/a/file t/b/file
	echo one >t/a/other
	echo two >t/b/other
	touch -d @1600000000 t/a/file t/b/file
	touch -d @1500000000 t/a t/b t
}

@test "dedup links equal files, and says what it saved" {
	two_trees
	it 0 dedup --how=link t
	same "$output" "14 saved, 1 linked, 0 reflinked, of 4 files"
	[ t/a/file -ef t/b/file ]
	same "$(cat t/b/file)" "equal in both"
	same "$(stat -c %Y t t/a t/b t/a/file | tr '\n' ' ')" "1500000000 1500000000 1500000000 1600000000 "
	same "$(find . -name '.pleach-*')" ""
	it 0 dedup --how=link t
	same "$output" "0 saved, 0 linked, 0 reflinked, of 4 files"
	it 0 -q dedup t
	same "$output" ""
}

@test "dedup -n changes nothing" {
	two_trees
	it 0 dedup --how=link -n t
	same "$output" "would be: 14 saved, 1 linked, 0 reflinked, of 4 files"
	[ ! t/a/file -ef t/b/file ]
}

@test "dedup --json is one document" {
	two_trees
	it 0 dedup --how=link --json t/a t/b
	json 'del(.bytes_read)' '{"dry_run":false,"files":4,"bytes":36,"linked":1,"reflinked":0,"bytes_saved":14,"left_alone":0,"failed":0,"indexed":0,"findings":[]}'
}

@test "dedup --match says what must be equal" {
	two_trees
	touch t/b/file
	it 0 dedup --how=link t
	like "$output" "^0 saved"
	it 0 dedup --how=link --match=content,mode t
	like "$output" "^14 saved, 1 linked"
	it 2 dedup --match=size t
	like "$stderr" "'size'"
	like "$stderr" "hint: content, mode, owner, mtime, xattrs"
}

@test "dedup of what may not be replaced is exit 3, with a list" {
	two_trees
	chmod 555 t/a t/b
	run --separate-stderr powerless "$PLEACH" dedup --how=link t
	same "$status" 3
	like "$stderr" "t/[ab]/file: cannot replace it: Permission denied"
	same "$(cat t/a/file t/b/file | sort -u)" "equal in both"
	same "$(stat -c %a t/a)" 555
	run --separate-stderr powerless "$PLEACH" --json dedup --how=link t
	same "$status" 3
	json '[.failed, (.findings | length), .error.code]' '[1,1,"partial"]'
}

@test "dedup of what is not a directory, or not there, or within a store" {
	two_trees
	it 1 dedup t/a/file
	it 1 dedup nothing
	like "$stderr" "nothing"
	it 2 dedup
	it 2 dedup --how=copy t
	it 2 dedup --how=link store/.pleach/objects
	like "$stderr" "use --how=reflink"
}

@test "dedup leaves a store alone that it meets" {
	two_generations
	it 0 dedup --how=link .
	it 0 check
	same "$(cat store/site/a)" other
}

@test "dedup ended by a signal leaves nothing behind" {
	two_trees
	"$PLEACH" dedup --how=link t &
	kill -INT $! 2>/dev/null || true
	wait $! || true
	same "$(cat t/a/file t/b/file | sort -u)" "equal in both"
	it 0 dedup --how=link t
	same "$(find . -name '.pleach-*')" ""
	[ t/a/file -ef t/b/file ]
}
