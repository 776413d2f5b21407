#!/usr/bin/env bats
# What is damaged, or a stranger's, in one place of a store, and everything else goes on.

load helper

# A name of a stranger at .pleach/$1, of each kind in turn; then $2... is run.
each_stranger() {
	local at="store/.pleach/$1" kind
	shift
	for kind in 'echo mine >' 'mkdir' 'mkfifo' 'ln -s /nowhere'; do
		eval "$kind '$at'"
		"$@" || { echo "with: $kind $at"; return 1; }
		rm -r "$at"
	done
	mkdir -p "$at/sub"
	echo mine >"$at/sub/file"
	"$@" || { echo "with a directory at $at"; return 1; }
	rm -r "$at"
}

all_go_on() {
	echo "$RANDOM" >src/new
	it 0 publish site ./src || return 1
	it 0 status || return 1
	it 0 status --json || return 1
	it 0 du || return 1
	it 0 log site || return 1
	it 0 gc -n || return 1
	it 0 gc || return 1
	it 0 gc || return 1
	it 0 publish other ./src || return 1
	it 0 drop site@-1 || return 1
	it 0 drop other || return 1
	it 0 config keep-placed=2
}

# sets_aside PATH: a file of a stranger there is found, set aside, not deleted, and the store is well then.
sets_aside() {
	echo mine >"store/.pleach/$1"
	it 13 check || return 1
	like "$output" "fault: name \.pleach/$1: is no part of a store" || return 1
	it 0 check --repair || return 1
	like "$output" "mended: name \.pleach/$1: set aside" || return 1
	like "$(cat store/.pleach/damaged/*/list)" "\.pleach/$1" || return 1
	it 0 check || return 1
	same "$(cat store/.pleach/damaged/*/1-stray)" mine || return 1
	rm -r store/.pleach/damaged
}

@test "what a stranger has put in refs/ is passed over, and never touched (G7)" {
	two_generations
	each_stranger refs/foreign all_go_on
}

@test "a ref is not made over what a stranger has put in refs/, and that is no ref" {
	two_generations
	no_ref() {
		it 1 publish foreign ./src || return 1
		like "$stderr" "cannot make ref 'foreign': '.*/store/.pleach/refs/foreign' is not ours" || return 1
		like "$stderr" "hint: pleach check --repair sets it aside" || return 1
		it 10 log foreign || return 1
		like "$stderr" "hint: .*refs/foreign' is no ref" || return 1
		it 10 drop foreign || return 1
		it 10 check foreign
	}
	each_stranger refs/foreign no_ref
}

@test "check --repair sets aside what a stranger has put in refs/" {
	two_generations
	sets_aside refs/foreign
	it 0 publish foreign ./src
}

@test "a directory of refs/ that a public path leads to is a damaged ref: nothing is collected" {
	two_generations
	rm -r store/.pleach/refs/site
	mkdir store/.pleach/refs/site
	it 13 gc
	like "$stderr" "ref 'site' is damaged"
	rmdir store/.pleach/refs/site
	echo x >store/.pleach/refs/site
	it 13 gc
	like "$stderr" "ref 'site' is damaged"
	[ "$(ls store/.pleach/trees | wc -l)" -eq 2 ]
}

# Names that a stranger may use, and those that look like ours, in the other directories.
places() {
	local hex62 name
	hex62=$(printf '%062d' 7)
	for name in trees/foreign "trees/00$hex62" objects/foreign objects/UNUSED \
		"objects/$(used objects)/foreign" "objects/$(used objects)/$hex62" nodes/foreign \
		"nodes/$(used nodes)/$hex62" nodes/UNUSED tx/foreign "tx/$(printf '%024d' 7)" \
		trash/foreign "trash/$(printf '%024d' 7)"; do
		echo "$name"
	done
}

used() {
	ls "store/.pleach/$1" | head -n 1
}

unused() {
	for name in {a,b,c,d,e,f}{0..9}; do
		[ -e "store/.pleach/$1/$name" ] || { echo "$name"; return; }
	done
}

@test "what a stranger has put anywhere in a store stops nothing, and is never touched (G7)" {
	two_generations
	local named place kind
	for named in $(places); do
		for kind in 'echo mine >' 'mkdir' 'mkfifo'; do
			place=${named/UNUSED/$(unused "${named%%/*}")} # by now: each publish may use one more
			# empty directories are what killed commands leave, and these may look like objects
			case "$kind $place" in
			"mkdir tx/0"* | "mkdir trash/0"* | "mkdir trees/0"* | "mkdir objects/"[a-f0-9][0-9] | \
				"mkdir nodes/"[a-f0-9][0-9] | "echo mine > "*/*/0*) continue ;;
			esac
			eval "$kind 'store/.pleach/$place'"
			goes_on "$place" || { echo "with: $kind $place"; return 1; }
			[ -e "store/.pleach/$place" ] || { echo "$place is gone"; return 1; }
			rm -r "store/.pleach/$place"
		done
	done
}

# A publish, and all that looks at everything.
goes_on() {
	case "$1" in
	*/[a-f][0-9]) ;; # one of 256 objects could not be made there
	*)
		put a "$RANDOM"
		it 0 publish site ./src || return 1
		it 0 drop --now site@-1 || return 1
		;;
	esac
	for command in status du "gc -n" gc; do
		# shellcheck disable=SC2086 # words
		it 0 $command || return 1
	done
}

@test "check --repair sets aside what a stranger has put anywhere in a store" {
	two_generations
	local place
	for place in $(places); do
		case "$place" in objects/??/0* | nodes/??/0*) continue ;; esac # may be a damaged object
		sets_aside "$place" || { echo "$place"; return 1; }
	done
	mkdir "store/.pleach/objects/$(used objects)/$(printf '%062d' 7)"
	it 0 check --repair
	like "$output" "mended: name .pleach/objects/../0*7: set aside"
	it 0 check
}

# ---- what is ours, and damaged ----

# Three refs, whose first generations are one tree; whatever is damaged is of the one in the middle.
three_refs() {
	local ref
	put f shared
	for ref in aaa bad zzz; do
		"$PLEACH" publish -q "$ref" ./src || return 1
	done
	for ref in aaa bad zzz; do
		put f "$ref"
		"$PLEACH" publish -q "$ref" ./src || return 1
	done
	"$PLEACH" tag bad v1 @1
}

# Damages of `bad`, a line each: a command, and what is said of it.
damages() {
	cat <<'END'
echo x >>store/.pleach/refs/bad/gen/1|the record of generation 1 of 'bad' does not verify|gen/1
echo x >>store/.pleach/refs/bad/gen/2|the record of generation 2 of 'bad' does not verify|gen/2
rm store/.pleach/refs/bad/gen/1|the record of generation 1 of 'bad' is missing|gen/1
echo x >store/.pleach/refs/bad/id|ref 'bad' is damaged: its id cannot be read|id
rm store/.pleach/refs/bad/id|ref 'bad' is damaged: its id cannot be read|id
echo x >store/.pleach/refs/bad/config|the settings of 'bad' do not verify|config
echo x >store/.pleach/refs/bad/tags/v1|tag 'v1' of 'bad' is damaged|tags/v1
END
}

# each_damage COMMAND...: in a new store each, with what is said in $says, and the file in $file.
each_damage() {
	local how
	while IFS='|' read -r how says file; do
		rm -rf store
		"$PLEACH" init -q store || return 1
		three_refs || return 1
		eval "$how"
		"$@" </dev/null || { echo "after: $how"; return 1; }
	done < <(damages)
}

@test "status shows all that is not damaged, and what is, exit 13" {
	shows() {
		it 13 status || return 1
		like "$output" "aaa@2  .*zzz@2  " || return 1
		like "$output" $'\n'"bad[^"$'\n'"]*"$'\n'"  damaged   $says"$'\n' || return 1
		like "$stderr" "pleach: 1 file of refs in .*/store cannot be read" || return 1
		like "$stderr" "hint: 'pleach check' tells" || return 1
		it 13 status --json || return 1
		json '[.error.code, [.refs[] | .ref], .refs[1].damaged, .refs[0].damaged]' \
			"[\"corrupt\",[\"aaa\",\"bad\",\"zzz\"],[\"$says\"],[]]" || return 1
		it 0 status zzz
	}
	each_damage shows
}

@test "status --json names what repairs have set aside by id, with its bytes" {
	two_generations
	head -c 100000 /dev/urandom >store/site/stray
	it 0 check --repair
	it 0 status --json
	json '.leftovers[0] | [.kind, has("tx"), .bytes > 99999]' '["damaged",false,true]'
	same "$(jq -r '.leftovers[0].id' <<<"$output")" "$(ls store/.pleach/damaged)"
	it 0 status
	like "$output" "damaged   .*, 1[0-9][0-9] kB"
}

@test "log and du show all that is not damaged, and what is, exit 13" {
	shows() {
		it 0 log zzz || return 1
		case "$file" in
		gen/* | tags/*)
			it 13 log bad || return 1
			like "$stderr" "pleach: $says" || return 1
			like "$stderr" "hint: it is .pleach/refs/bad/$file; pleach check" || return 1
			case "$file" in
			gen/1) like "$output" "^   2  [^"$'\n'"]*$" ;;
			gen/2) like "$output" "^   1  [^"$'\n'"]*$" ;;
			tags/*) like "$output" "^   2  .*"$'\n'"   1  " ;;
			esac || return 1
			[ "$file" = tags/v1 ] || it 13 log --reverse -n 1 bad || return 1
			;;
		esac
		case "$file" in tags/*) ;; # its tree is needed by a generation anyway
		*)
			it 13 du || return 1
			like "$output" "aaa@1.*zzz@2 \(head\).* total"$'\n' || return 1
			like "$stderr" "pleach: $says" || return 1
			it 13 du --json || return 1
			json '[.error.code, (.generations | map(select(.ref == "zzz")) | length), .totals.total > 0]' \
				'["corrupt",2,true]'
			;;
		esac
	}
	each_damage shows
}

@test "publish, rollback, tag, config, run and drop of another ref go on beside a damaged one" {
	others() {
		put new "$file"
		it 0 publish zzz ./src || return 1
		it 0 publish new ./src || return 1
		it 0 rollback zzz || return 1
		it 0 tag zzz w1 @1 || return 1
		it 0 config --ref zzz grace=0 || return 1
		it 0 run --workspace copy zzz -- sh -c 'echo x >"$PLEACH_PATH/y"' || return 1
		it 0 drop --now zzz@2 || return 1
		it 0 drop aaa || return 1
		it 0 drop --now new || return 1
		it 13 status || return 1
		like "$output" "zzz@5"
	}
	each_damage others
}

@test "gc takes nothing beside a damaged ref, and says which file it is (G5)" {
	stops() {
		"$PLEACH" drop --now zzz@1 || return 1
		local before
		before=$(find store/.pleach/{objects,nodes,trees} | sort)
		it 13 gc || return 1
		like "$stderr" "pleach: nothing is collected: $says" || return 1
		like "$stderr" "hint: it is .pleach/refs/bad/$file; pleach check .*--repair" || return 1
		same "$(find store/.pleach/{objects,nodes,trees} | sort)" "$before"
	}
	each_damage stops
}

@test "gc stops for a tree that is missing, however old its generation is" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	local i
	for i in $(seq 110); do
		echo "$i" >src/f
		"$PLEACH" publish -q site ./src
	done
	"$PLEACH" drop site@1 site@2
	it 0 gc
	mv "store/.pleach/trees/$("$PLEACH" log --json --reverse site | jq -r 'select(.generation == 3).tree')" lost
	it 13 gc
	like "$stderr" "nothing is collected: the tree .* of 'site@3' is missing"
	like "$stderr" "hint: mend the store first: pleach check --repair"
	it 0 check --repair
	it 0 gc
}

# tree_of N: the directory of the tree of site@N.
tree_of() {
	echo "store/.pleach/trees/$("$PLEACH" log --json site | jq -r "select(.generation == $1).tree")"
}

@test "gc stops for a tree that has lost a user that needs it, and so does gc -n" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	two_generations
	"$PLEACH" tag site v1 @1
	local lost before
	for lost in "$(tree_of 1)"/users/g.* "$(tree_of 1)"/users/t.* "$(tree_of 2)"/users/g.*; do
		before=$(find store/.pleach/{objects,nodes,trees} store/site/ | sort)
		mv "$lost" lost
		for command in gc "gc -n"; do
			# shellcheck disable=SC2086 # words
			it 13 $command
			like "$stderr" "nothing (is|would be) collected: the tree .* has lost its user ${lost##*/}"
			like "$stderr" "hint: mend the store first: pleach check --repair"
		done
		it 0 check --repair
		same "$(find store/.pleach/{objects,nodes,trees} store/site/ | sort)" "$before"
		it 0 gc
	done
}

@test "a publish takes no tree that has lost its users" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	two_generations
	local tree i
	tree=$(tree_of 2)
	rm "$tree"/users/*
	for i in 1 2 3; do
		put a "$i"
		it 0 publish site ./src
	done
	[ -e "$tree" ]
	it 0 check --repair
	it 0 check
	it 0 gc
	same "$("$PLEACH" cat site@2:a)" other
}

@test "a publish takes a placed tree without users where all that are kept have theirs" {
	"$PLEACH" config grace=1h keep-placed=1 spares=0
	two_generations
	local tree
	tree=$(tree_of 1)
	"$PLEACH" drop site@1
	[ -e "$tree/1" ]
	rm "$tree"/users/*
	put a new
	it 0 publish site ./src
	[ ! -e "$tree" ]
}

@test "the public path does not go back from a generation whose record and mark are lost" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	two_generations
	put a third
	"$PLEACH" publish -q site ./src
	cp -a store copy
	put a new
	local tree command
	tree=$(tree_of 3)
	rm store/.pleach/refs/site/{gen,shown}/3
	for command in "publish site ./src" "rollback site" gc "drop site"; do
		# shellcheck disable=SC2086 # words
		it 13 $command
		like "$stderr" "the record of generation 3 of 'site' is missing"
	done
	it 0 publish other ./src
	it 0 log site
	it 13 check --repair
	like "$output" "fault: record .pleach/refs/site/gen/3: is missing, and a generation from there on is shown; not mended"
	same "$(cat store/site/a)" third
	[ -e "$tree/1" ]
	it 0 check --repair --from copy
	it 0 check
	it 0 gc
	it 0 publish site ./src
	like "$output" "site@4"
}

@test "what a killed publish left at the tree that is shown is no damage" {
	"$PLEACH" config grace=0 keep-placed=1 spares=0
	two_generations
	local tree
	tree=$(tree_of 2)
	cp -a store/.pleach/refs/site/public/tree shown
	put a third
	"$PLEACH" publish -q site ./src
	mv -T shown store/.pleach/refs/site/public/tree
	rm store/.pleach/refs/site/shown/3
	# 3 was not shown yet, and of 4, which was to be the tree of 2 again, there is the user
	touch "$tree/users/g.$(cat store/.pleach/refs/site/id).4"
	it 0 status
	same "$(cat store/site/a)" third
	it 0 gc
	it 0 check
}

# ---- mended ----

@test "check --repair reads the id of a ref from its records" {
	local how
	for how in 'echo x >' 'rm'; do
		rm -rf store
		"$PLEACH" init -q store
		three_refs
		cp store/.pleach/refs/bad/id id
		eval "$how store/.pleach/refs/bad/id"
		it 0 check --repair
		like "$output" "mended: config .pleach/refs/bad/id: made anew, as its records have it"
		cmp id store/.pleach/refs/bad/id
		it 0 check
		it 0 status
		it 0 gc
	done
	"$PLEACH" publish -q new ./src
	echo x >store/.pleach/refs/new/id
	echo x >store/.pleach/refs/new/gen/1
	it 13 check --repair
	like "$output" "refs/new/id: is no id of a ref.*; not mended: its records do not tell what it was"
}

@test "check --repair makes a damaged tag again if one generation has the tree that it named" {
	three_refs
	echo x >store/.pleach/refs/bad/tags/v1
	it 0 check --repair
	like "$output" "mended: tag .pleach/refs/bad/tags/v1: made anew: its tree is that of @1"
	same "$(cat store/.pleach/damaged/*/1-tag)" x
	it 0 tag bad
	like "$output" "v1"
	it 0 check
	"$PLEACH" rollback -q bad
	cp -a store backup
	echo x >store/.pleach/refs/bad/tags/v1
	it 13 check --repair
	like "$output" "not mended: 2 generations have the tree that it named"
	it 0 check --repair --from backup
	it 0 ls bad@v1
	it 0 check
}

@test "check --repair --from STORE takes records and settings of the same history, and no others" {
	three_refs
	"$PLEACH" config --ref bad keep=7
	cp -a store backup
	local n
	for n in 1 2; do
		echo x >"store/.pleach/refs/bad/gen/$n"
		it 13 check --repair
		like "$output" "gen/$n: does not verify.*; not mended: there is no other record of it"
		like "$output" "hurts bad@$n"
		it 0 check --repair --from backup
		like "$output" "mended: record .pleach/refs/bad/gen/$n: taken from another store"
		cmp {store,backup}/.pleach/refs/bad/gen/$n
		rm "store/.pleach/refs/bad/gen/$n"
		[ "$n" -eq 2 ] || it 0 check --repair --from backup
	done
	it 13 check
	cp backup/.pleach/refs/bad/gen/2 store/.pleach/refs/bad/gen/2
	echo x >store/.pleach/refs/bad/config
	it 13 check --repair
	like "$output" "refs/bad/config: does not verify; not mended: nothing else tells its settings"
	it 0 check --repair --from backup
	it 0 config --ref bad keep
	same "$output" 7
	# from here on each goes its own way
	put f here
	"$PLEACH" publish -q bad ./src
	put f there
	"$PLEACH" --store backup publish -q bad ./src
	echo x >store/.pleach/refs/bad/gen/3
	it 13 check --repair --from backup
	like "$output" "not mended: nothing proves that generation 3 of 'backup' is this one"
	same "$(cat store/.pleach/refs/bad/gen/3)" x
}

@test "check --repair makes a lost lock again" {
	two_generations
	rm store/.pleach/refs/site/lock
	it 13 check
	like "$output" "fault: config .pleach/refs/site/lock: is missing"
	it 0 check --repair
	like "$output" "mended: config .pleach/refs/site/lock: made anew"
	same "$(stat -c %a:%s store/.pleach/refs/site/lock)" 600:0
	it 0 check
	put a more
	it 0 publish site ./src
}

@test "lost marks of what is shown, hints and cache are made again" {
	two_generations
	rm -r store/.pleach/refs/site/shown store/.pleach/cache store/site
	it 0 check --repair
	same "$(cat store/site/a)" other
	it 0 check
	put a more
	it 0 publish site ./src
	same "$(cat store/site/a)" more
	ls store/.pleach/refs/site/shown/3
	for hint in store/.pleach/cache/*; do
		[ -d "$hint" ] || echo 99999999 >"$hint"
	done
	it 0 check
	it 0 log site
	put a and-more
	it 0 publish site ./src
	it 0 gc
	it 0 check
}

@test "each fault of one placing that cannot be mended has its reason" {
	two_generations
	hold site
	echo stray >store/site/stray
	echo stray >store/site/another
	it 13 check --repair
	[ "$(grep -c "^fault:" <<<"$output")" -ge 2 ]
	same "$(grep -c "; not mended: " <<<"$output")" "$(grep -c "^fault:" <<<"$output")"
	let_go
	it 0 check --repair
}

@test "publish of what the head has says that its placed tree is missing, and not that all is well" {
	local how
	for how in /tree ''; do
		two_generations
		chmod -R u+rwX store/.pleach/trees
		rm -r "$(dirname "$(readlink -f store/site)")$how"
		it 13 publish site ./src
		like "$stderr" "the public path '.*/store/site', of 'site@[0-9]*', leads to nothing"
		like "$stderr" "hint: pleach check --repair"
		it 13 rollback site "site@$(heads site | cut -d ' ' -f 1)"
		it 0 check --repair
		it 0 publish site ./src
		like "$output" "unchanged"
		same "$(cat store/site/a)" other
	done
}

# ---- beyond repair ----

# lose how, of site@2: its root node, and every copy of it.
lose() {
	local tree node
	tree=$("$PLEACH" log --json site | jq -r 'select(.generation == 2).tree')
	node="store/.pleach/nodes/${tree:0:2}/${tree:2}"
	chmod -R u+rwX store/.pleach/trees
	case "$1" in
	tree) rm -r "$node" "store/.pleach/trees/$tree" ;;
	node) rm -r "$node" "store/.pleach/trees/$tree"/[0-9]* ;;
	damaged)
		rm -r "store/.pleach/trees/$tree"/[0-9]*
		chmod u+w "$node"
		: >"$node"
		;;
	esac
}

@test "a tree that is lost beyond repair is given up by drop, which gc names, and then gc goes on" {
	local how drop
	for how in tree node damaged; do
		for drop in "site@2" "--force site@2" "site"; do
			rm -rf store
			"$PLEACH" init -q store
			"$PLEACH" config -q grace=0 auto-gc=off
			"$PLEACH" publish -q other ./src
			two_generations
			put third "$how"
			"$PLEACH" publish -q site ./src
			lose "$how"
			it 13 gc
			like "$stderr" "hint: mend the store first: pleach check --repair; .* pleach drop --now"
			[ "$how" != tree ] || like "$stderr" "pleach drop --now site@2"
			it 13 check --repair
			it 13 gc
			it 0 drop -n $drop
			it 0 drop --now $drop
			it 0 gc
			it 0 check
			it 0 status
		done
	done
}

@test "a head whose tree is lost beyond repair goes with its ref, and one that is tagged by --force" {
	local how
	for how in tree node damaged; do
		rm -rf store
		"$PLEACH" init -q store
		"$PLEACH" config -q grace=0 auto-gc=off
		"$PLEACH" publish -q other ./src
		two_generations
		"$PLEACH" tag site keepme @2
		lose "$how"
		it 13 gc
		it 11 drop --now --force site@2
		it 11 drop --now site
		it 0 drop --now --force site
		it 0 gc
		it 0 check
	done
}
