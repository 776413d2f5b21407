#!/usr/bin/env bats
# pleach ls

load helper

publish_tree() {
	put a one
	put sub/b two
	put sub/deep/c three
	chmod 4755 src/a
	ln -s 'to here' src/link
	mkfifo src/pipe
	touch -d '2020-02-03 04:05:06.123456789' src/a
	"$PLEACH" publish -q site ./src
}

@test "ls lists a directory in byte order, -R all that is below it" {
	publish_tree
	it 0 ls site
	same "$(printf '%s ' "${lines[@]}")" "a link pipe sub "
	it 0 ls -R site
	same "$(printf '%s ' "${lines[@]}")" "a link pipe sub sub/b sub/deep sub/deep/c "
	it 0 ls site:sub
	same "$(printf '%s ' "${lines[@]}")" "sub/b sub/deep "
	it 0 ls -R site:sub
	same "$(printf '%s ' "${lines[@]}")" "sub/b sub/deep sub/deep/c "
	it 0 ls site:sub/b
	same "$output" sub/b
}

@test "byte order of paths is that of whole paths" {
	put a/x 1
	put a.b 2
	put a-b 3
	"$PLEACH" publish -q site ./src
	it 0 ls -R site
	same "$output" "$(printf '%s\n' "${lines[@]}" | LC_ALL=C sort)"
	same "${#lines[@]}" 4
}

@test "ls -l is like ls -l: mode, links, owner, group, size, time, target" {
	publish_tree
	it 0 ls -l site
	like "${lines[0]}" "^-rwsr-xr-x +1 +$(id -u) +$(id -g) +4 2020-02-03 04:05 a\$"
	like "${lines[1]}" "^lrwxrwxrwx +1 +$(id -u) +$(id -g) +7 .* link -> to here\$"
	like "${lines[2]}" "^prw-r--r-- +1 "
	like "${lines[3]}" "^drwxr-xr-x .* sub\$"
}

@test "ls --json is an object a line with the promised members" {
	publish_tree
	it 0 ls -R --json site
	same "${#lines[@]}" 7
	same "$(printf '%s\n' "$output" | jq -r .type | tr '\n' ' ')" \
		"file symlink fifo dir file dir file "
	output=${lines[0]}
	json keys '["gid","links","mode","mtime","object","path","rdev","size","target","type","uid","xattrs"]'
	json '[.path, .type, .mode, .size, .mtime, .links, .target, .rdev, .xattrs]' \
		'["a","file","4755",4,"2020-02-03T04:05:06.123456789Z",1,null,null,{}]'
	json '[.uid, .gid]' "[$(id -u),$(id -g)]"
	like "$(printf '%s' "$output" | jq -r .object)" '^[0-9a-f]{64}$'
	output=${lines[1]}
	json '[.path, .target, .object]' '["link","to here",null]'
}

@test "links are the names of the tree that share an inode" {
	put a one
	mkdir src/sub
	ln src/a src/sub/b
	"$PLEACH" publish -q site ./src
	"$PLEACH" publish -q site2 ./src
	it 0 ls -R --json site
	same "$(printf '%s\n' "$output" | jq -r 'select(.type == "file").links' | tr '\n' ' ')" "2 2 "
}

@test "extended attributes are base64 in JSON" {
	put a one
	setfattr -n user.note -v 0x00ff01 src/a 2>/dev/null || skip "no user attributes in $PWD"
	"$PLEACH" publish -q site ./src
	it 0 ls --json site
	json '.xattrs' "{\"user.note\":\"$(printf '\000\377\001' | base64)\"}"
}

@test "devices have their numbers" {
	mknod src/null c 1 3 2>/dev/null || skip "this user cannot make devices"
	"$PLEACH" publish -q site ./src
	it 0 ls -l site
	like "$output" "^crw-r--r-- .* 1, 3 .* null\$"
	it 0 ls --json site
	json '[.type, .rdev.major, .rdev.minor]' '["char",1,3]'
}

@test "sizes are humanised on a terminal only" {
	head -c 123456 /dev/zero >src/big
	"$PLEACH" publish -q site ./src
	it 0 ls -l site
	like "$output" " 123456 "
	run on_terminal "$PLEACH" ls -l site
	like "$output" " 123 kB "
}

@test "ls takes any revision" {
	two_generations
	"$PLEACH" tag site first @1
	local tree
	tree=$("$PLEACH" log --json site | jq -r 'select(.generation == 1).tree')
	for rev in site@1 site@-1 site@first "tree:$tree" "tree:${tree:0:8}"; do
		it 0 ls "$rev"
		same "$output" $'a\nb'
	done
}

@test "ls of what is not there is exit 10, of what is no revision 2" {
	two_generations
	for rev in nosuch site@3 site@-2 site@tag site:nosuch site:a/x tree:00000000; do
		it 10 ls "$rev"
		like "$stderr" "^pleach: "
		same "$output" ""
	done
	for rev in '' 'a b' site@ 'tree:xyz' tree:abc; do
		it 2 ls "$rev"
	done
	it 10 ls --json site:nosuch
	error_is not-found
}
