#!/usr/bin/env bats
# pleach publish

load helper

@test "publish prints ref, number, tree, counts and size" {
	put a one
	put b two
	it 0 publish site ./src
	like "$output" '^site@1 [0-9a-f]{12} \+2 ~0 -0, 8 B new$'
	put a other
	rm src/b
	put c three
	put d four
	it 0 publish site ./src
	like "$output" '^site@2 [0-9a-f]{12} \+2 ~1 -1, 17 B new$'
	same "$stderr" ""
}

@test "publish humanises the size and cuts the id also in a pipe" {
	head -c 1234567 /dev/urandom >src/big
	it 0 publish site ./src
	like "$output" '^site@1 [0-9a-f]{12} \+1 ~0 -0, 1\.2 MB new$'
}

@test "publish of what the head has already says unchanged and makes no generation" {
	put a one
	"$PLEACH" publish -q site ./src
	touch src # the time of a directory is no change
	it 0 publish site ./src
	like "$output" '^site@1 [0-9a-f]{12} unchanged$'
	same "$(heads site)" "1 "
}

@test "publish --json is one document of the promised members" {
	put a one
	it 0 publish --json site ./src
	json keys '["bytes_new","changed","generation","parent","ref","tree","unchanged"]'
	json '[.ref, .generation, .parent, .changed.added, .changed.modified, .changed.removed]' \
		'["site",1,null,1,0,0]'
	json '[.bytes_new, .unchanged, (.tree | length)]' '[4,false,64]'
	it 0 publish --json site ./src
	json '[.generation, .unchanged]' '[1,true]'
	put a two
	it 0 publish --json site ./src
	json '[.generation, .parent]' '[2,1]'
}

@test "publish -q prints nothing" {
	put a one
	it 0 publish -q site ./src
	same "$output$stderr" ""
}

@test "the public path shows what was published" {
	two_generations
	same "$(cat store/site/a)" other
	absent store/site/b
	same "$(readlink store/site)" .pleach/refs/site/public/tree
}

@test "publish replaces whatever the head was" {
	two_generations
	mkdir next
	echo new >next/z
	it 0 publish site ./next
	same "$(ls store/site)" z
}

@test "publish -n prints what would change and writes nothing" {
	two_generations
	local before
	before=$(find store -printf '%p %i %T@\n' | sort)
	put a third
	rm src/c
	put e five
	it 0 publish -n site ./src
	same "${lines[0]}" "M a"
	same "${lines[1]}" "D c"
	same "${lines[2]}" "A e"
	like "${lines[3]}" '\+1 ~1 -1'
	same "$(heads site)" "2 1 "
	same "$(cat store/site/a)" other
	it 0 publish -n --json site ./src
	json '[.dry_run, (.changes | map(.change + .path))]' '[true,["Ma","Dc","Ae"]]'
	same "$(find store/.pleach/refs store/.pleach/trees -printf '%p %i %T@\n' | sort)" \
		"$(printf '%s\n' "$before" | grep -e '^store/.pleach/refs' -e '^store/.pleach/trees')"
}

@test "publish -n of a new ref leaves no ref" {
	put a one
	it 0 publish -n site ./src
	like "$output" '\+1 ~0 -0'
	it 10 log site
	absent store/site
}

@test "publish --if-head N: the head is N, or exit 12" {
	put a one
	it 12 publish --if-head 1 site ./src
	it 0 publish --if-head 0 site ./src
	it 12 publish --if-head 0 site ./src
	put a two
	it 0 publish --if-head=1 site ./src
	put a three
	it 12 --json publish --if-head 1 site ./src
	error_is conflict
	same "$(heads site)" "2 1 "
}

@test "publish -m and --meta are in the log" {
	put a one
	it 0 publish -m $'a message\nof two lines' --meta ticket=42 --meta 'by=a=b' site ./src
	it 0 log --json site
	json '[.message, .meta.ticket, .meta.by]' '["a message\nof two lines","42","a=b"]'
	it 2 publish --meta novalue site ./src
	like "$stderr" "KEY=VALUE"
	it 2 publish --meta =x site ./src
}

@test "publish --exclude works as .gitignore does" {
	put keep.c 1
	put drop.o 2
	put sub/drop.o 3
	put sub/keep.o 4
	put build/out 5
	it 0 publish --exclude '*.o' --exclude '!keep.o' --exclude build/ site ./src
	it 0 ls -R site
	same "$(printf '%s ' "${lines[@]}")" "keep.c sub sub/keep.o "
}

@test "a foreign file, directory or symlink at the public path is never replaced (G7)" {
	two_generations
	put a third
	for kind in file directory symlink; do
		rm -rf store/site
		case $kind in
		file) echo mine >store/site ;;
		directory) mkdir store/site && echo mine >store/site/mine ;;
		symlink) ln -s elsewhere store/site ;;
		esac
		it 1 publish site ./src
		like "$stderr" "store/site"
		same "$(heads site)" "2 1 "
	done
	same "$(readlink store/site)" elsewhere
	it 1 --json publish site ./src
	error_is failed
}

@test "a foreign public path of a new ref: exit 1, nothing is recorded (G7)" {
	put a one
	echo mine >store/site
	it 1 publish site ./src
	like "$stderr" "store/site"
	same "$(cat store/site)" mine
	rm store/site
	it 0 publish site ./src
	like "$output" "^site@1 "
}

@test "a public path that is missing is made again" {
	two_generations
	rm store/site
	put a third
	it 0 publish site ./src
	same "$(cat store/site/a)" third
}

@test "bad names of refs are usage errors" {
	put a one
	for ref in .hidden -dash a/b 'a b' x.lock tree '' "$(printf '%0101d' 0)"; do
		it 2 publish -- "$ref" ./src
	done
	it 0 publish "$(printf '%0100d' 0)" ./src
	it 0 publish 0a.B_c-d ./src
}

@test "a source that is missing or a file is an error that names it" {
	it 1 publish site ./nosuch
	like "$stderr" "\./nosuch"
	it 1 publish site nosuch
	like "$stderr" "'nosuch'"
	put a one
	it 1 publish site ./src/a
	like "$stderr" "\./src/a"
	it 10 publish site nosuch@3
}

@test "archives are refused with a hint, not read" {
	put a one
	tar -cf src.tar src
	it 1 publish site src.tar
	like "$stderr" "hint: .*unpack it first"
	it 1 publish site ./src.tar
	like "$stderr" "hint: .*unpack it first"
	it 1 publish site - <src.tar
	like "$stderr" "not in this version"
	like "$stderr" "hint: unpack it first"
}

@test "a revision is a source, and a path in it" {
	put a one
	put docs/x 1
	put docs/deep/y 2
	"$PLEACH" publish -q site ./src
	it 0 publish copy site
	same "$("$PLEACH" ls -R copy)" "$("$PLEACH" ls -R site)"
	it 0 publish docs site@1:docs
	same "$("$PLEACH" ls -R docs | tr '\n' ' ')" "deep deep/y x "
	it 0 publish deep site:docs/deep
	same "$("$PLEACH" ls -R deep)" y
	it 10 publish docs site:nosuch
	it 1 publish docs site:a
}

@test "a word that is both a ref and a path has to be told apart" {
	put a one
	"$PLEACH" publish -q docs ./src
	mkdir docs
	echo other >docs/b
	it 2 publish copy docs
	like "$stderr" '\./docs'
	like "$stderr" 'docs@1'
	it 0 publish copy ./docs
	same "$(ls store/copy)" b
	it 0 publish copy docs@1
	same "$(ls store/copy)" a
	it 0 publish copy docs/
	same "$(ls store/copy)" b
}

@test "PREFIX=SOURCE composes one tree" {
	mkdir one two
	echo 1 >one/x
	echo 2 >two/y
	put a one
	it 0 publish site ./src lib/one=./one share=two
	same "$("$PLEACH" ls -R site | tr '\n' ' ')" "a lib lib/one lib/one/x share share/y "
	"$PLEACH" publish -q other ./one
	it 0 publish site ./src from=other@1
	same "$(cat store/site/from/x)" 1
}

@test "PREFIX= splits at the first =" {
	mkdir 'a=b'
	echo 1 >'a=b/x'
	it 0 publish site =./a=b
	same "$("$PLEACH" ls site)" x
	it 0 publish site p=./a=b
	same "$("$PLEACH" ls -R site | tr '\n' ' ')" "p p/x "
	it 2 publish site p=
	it 2 publish site ../up=./src
}

@test "two sources that bring one path: an error that names both, or --on-clash" {
	mkdir one two
	echo 1 >one/x
	echo 2 >two/x
	echo 3 >two/y
	it 1 publish site ./one ./two
	like "$stderr" "x"
	like "$stderr" "\./one"
	like "$stderr" "\./two"
	it 10 log site
	it 0 publish --on-clash=first site ./one ./two
	same "$(cat store/site/x)" 1
	same "$(cat store/site/y)" 3
	it 0 publish --on-clash last site ./one ./two
	same "$(cat store/site/x)" 2
}

@test "symlinks that lead out are published as they are and counted in a warning" {
	mkdir src/sub
	ln -s ../../out src/sub/link
	ln -s ../a src/sub/inside
	ln -s .. src/up
	put a one
	it 0 publish site ./src
	like "$stderr" "warning: 2 symlinks"
	like "$stderr" "sub/link"
	same "$(readlink store/site/sub/link)" ../../out
	it 0 publish -q site ./src
	same "$stderr" ""
}

@test "a source in the store, and a store in the source, are refused" {
	two_generations
	it 1 publish other store/site/
	it 1 publish other ./store
	it 1 publish other .
	it 0 publish other . --exclude /store --exclude '/separate-stderr-*' # of bats
	same "$("$PLEACH" ls other)" src
}

@test "publish --metadata=portable is the same tree for other owners and times" {
	put a one
	it 0 publish --json --metadata=portable one ./src
	local tree
	tree=$(printf '%s\n' "$output" | jq -r .tree)
	touch -d 2001-01-01 src/a
	it 0 publish --json --metadata portable two ./src
	same "$(printf '%s\n' "$output" | jq -r .tree)" "$tree"
	it 2 publish --metadata=nosuch three ./src
}

@test "publish --jobs takes any number" {
	put a one
	it 0 publish --jobs 1 site ./src
	put a two
	it 0 publish --jobs=3 site ./src
}

@test "a file-size limit is exit 14, and the ref stays as it was" {
	put a one
	"$PLEACH" publish -q site ./src
	head -c 1000000 /dev/urandom >src/big
	run -14 --separate-stderr bash -c 'ulimit -f 64; exec "$PLEACH" publish site ./src'
	like "$stderr" "hint: .*ulimit -f"
	same "$(heads site)" "1 "
	it 0 publish site ./src
	like "$output" "^site@2 "
}

@test "publishes at once each become a generation (G3)" {
	local pids=() i
	for i in 1 2 3 4 5 6; do
		mkdir "s$i"
		echo "$i" >"s$i/x"
		"$PLEACH" publish -q site "./s$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	same "$(heads site)" "6 5 4 3 2 1 "
	it 0 check
}

@test "progress: plain and json on stderr when asked, else not in a pipe" {
	put a one
	it 0 publish site ./src
	same "$stderr" ""
	put a two
	it 0 publish --progress=json site ./src
	[ -z "$stderr" ] || printf '%s\n' "$stderr" | jq -e .progress.phase >/dev/null
	put a three
	it 0 --progress=none publish site ./src
	same "$stderr" ""
}

@test "a dry run does not tell how many bytes would be new" {
	put a one
	it 0 publish -n site ./src
	like "$output" "^site@1 [0-9a-f]{12} \+1 ~0 -0, nothing written$"
	it 0 publish -n --json site ./src
	json '[.dry_run, .bytes_new]' '[true,null]'
}

@test "--meta with one key twice is a usage error" {
	put a one
	it 2 publish --meta k=1 --meta k=2 site ./src
	like "$stderr" "'k' is given twice"
	it 0 publish --meta k=1 --meta kk=2 site ./src
	it 0 log --json site
	json .meta '{"k":"1","kk":"2"}'
}

@test "a file that cannot be read is named with the source that it is in" {
	powerless true || skip "setpriv cannot take capabilities away"
	put d/a one
	mkdir other
	echo two >other/a
	chmod 000 other/a
	run --separate-stderr powerless "$PLEACH" publish site one=./src two=other/
	same "$status" 1
	like "$stderr" "^pleach: cannot read 'other/a': Permission denied$"
}
