#!/usr/bin/env bats
# pleach init

load helper

@test "init makes a store in a new and in an empty directory" {
	it 0 init new
	[ -d new/.pleach ]
	mkdir empty
	it 0 init empty
	[ -d empty/.pleach ]
	cd empty
	unset PLEACH_STORE
	it 0 status
}

@test "init without DIR takes the working directory, and --store's" {
	mkdir here
	cd here
	unset PLEACH_STORE
	it 0 init
	[ -d .pleach ]
	it 0 --store ../there init
	[ -d ../there/.pleach ]
}

@test "init of a store says so and exits 0" {
	put a one
	"$PLEACH" publish -q site ./src
	it 0 init "$PLEACH_STORE"
	like "$output" "already"
	it 0 --json init "$PLEACH_STORE"
	json '[.made, (.store | endswith("/store"))]' '[false,true]'
	same "$(heads site)" "1 "
}

@test "init of a directory that holds other things needs --force, and touches none of them (G7)" {
	mkdir full
	echo mine >full/file
	it 1 init full
	like "$stderr" "full"
	like "$stderr" "hint: .*--force"
	[ ! -e full/.pleach ]
	it 0 init --force full
	[ -d full/.pleach ]
	same "$(cat full/file)" mine
	put file one
	it 1 --store full publish file ./src
	same "$(cat full/file)" mine
}

@test "init leaves nothing unfinished beside it" {
	it 0 init new
	same "$(find . -name '.pleach-*')" ""
}

@test "init refuses unknown values with exit 2" {
	it 2 init --metadata nosuch new
	it 2 init --hash md5 new
	it 2 init --share nosuch new
	[ ! -e new ] || [ ! -e new/.pleach ]
}

@test "init --metadata is the default of the store" {
	it 0 init --metadata portable new
	it 0 --store new config metadata
	same "$output" portable
	it 0 --store new config share
	same "$output" content
}

@test "init where no parent is fails and names the path" {
	it 1 init no/such/parent
	like "$stderr" "no/such"
}

@test "init without a directory makes the store that PLEACH_STORE names" {
	PLEACH_STORE=$PWD/named it 0 init
	[ -d named/.pleach ]
	[ ! -e .pleach ]
}
