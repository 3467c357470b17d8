// Package vault opens a vault, the directory in which one device keeps its keys
// and its database, and puts the parts of echofs together in it: the lock, the
// keystore, the store, the engine, the repository, the network, the mounts. It
// answers the local API (package control) for whoever has opened it.
//
// # The directory
//
// It has mode 0700 and belongs to the user:
//
//	format       what this is, the version of the layout, the vault's id
//	lock         flock(2) of the process that uses the vault; holds its pid
//	settings.efs settings, sealed: names, signaling and ICE servers
//	locked       there while its owner has locked the vault; see Resumed
//	genesis      first credential of a new identity, until it is in the store
//	keys.efk     sealed keys (halo.SealKeystore); the one before is keys.efk.1
//	keys.pair    keys of a device that is being added to an identity
//	paired       what it was admitted with, until that is in the store
//	db/          the Pebble database, encrypted under a key in keys.efk
//	db.new       its copy while a database of before is being encrypted
//	db.old       the one before, until it is removed
//	local/       content of files that stay on this machine
//	ctl.sock     control socket of a running daemon
//	daemon.log   what a daemon in the background said; the older part is .1
//
// The key that opens keys.efk is not here: a [Protector] has it, the keyring of
// the desktop session ([Keyring]) or a file in the user's configuration directory
// ([KeyFile]); or a passphrase wraps it. What the user gives to open the vault is
// its [Access].
//
// # Making one
//
// [Make] writes the files in an order in which each leaves a vault that can be
// completed: a vault exists once keys.efk does; before, everything can be made
// again. [Open] finishes what is left: it stores the identity, makes the first
// space, and removes genesis.
//
// # One process at a time
//
// Whoever has the lock has the vault: the daemon (Run), or a command that opens
// the vault for a moment. Open builds the parts in order and Close takes them
// down in reverse: mounts, network, repository, engine, store, lock.
package vault
