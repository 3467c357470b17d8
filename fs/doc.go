// Package fs shows a vault as a directory tree through FUSE: spaces as
// directories, objects as files. Outside it is imported as echofs/fs.
//
// # The tree
//
//	MOUNT/
//	  .echofs/            status.json, identity.json, peers.json
//	  <space>/
//	    note.json         a structured object
//	    plan.md           a text object
//	    .note.json.swp    a local file: a plain file in Options.LocalDir
//	    folder/
//	    .echofs/
//	      meta/<path>.json, by-id/<id>.json, members/<name>.json
//	      history/<path>/<n>-<time>-<author>.json
//	      by-type/<type>/, refs/<path>/, backlinks/<path>/, query/<conditions>/
//	                      symbolic links into the space
//	      drafts/<path>, conflicts/<path>.json, blame/<path>
//	      conflicts/<path>/<field>
//	                      can be written: that settles the field
//	      trash/          deleted objects; to rename one out restores it
//
// The control directories answer to their name and are listed nowhere. Nodes of
// the repository have their echo.Ino as FUSE node id, so nothing is kept in
// memory for what the kernel knows: every lookup is answered from the store.
// Nodes of the control directories have ids above echo.MaxIno and are forgotten
// when the kernel forgets them.
//
// # What a save is here
//
// Each handle that can write an object has a private buffer. It starts with the
// content at the time of the open, or empty where that truncates, and is
// committed at FLUSH, FSYNC, RELEASE and at a rename if it has unsaved bytes.
//
//  1. Content that is not valid stays in the buffer until the last close of the
//     file, which is found by looking through /proc/<pid>/fd of the process and
//     of three ancestors for other handles. There it becomes a draft, and close
//     fails. At RELEASE it becomes a draft in any case, as any content whose
//     save failed: nothing is lost because a program ignored an error.
//  2. A truncation to nothing without a byte written after it is not a save. At
//     the last close the file then shows an empty draft.
//  3. The base of a save is the version its author was looking at: see bases.
//  4. A fresh file whose content is no text, or too large for a text object,
//     becomes a local file and keeps its bytes.
//
// # What the kernel may cache
//
// Entries and attributes are cached for an hour, absent names not at all. A
// goroutine of its own, which holds no lock, tells the kernel what changed;
// after a commit at FLUSH the kernel is told before the answer, so that the new
// size and content are there for everybody when close returns. Write handles
// bypass the page cache. Read handles use it, and keep it, unless the object is
// being written or was changed in the last seconds: then each reads a snapshot
// taken at its open. Local files have the page cache that any file has.
//
// A rename of a file onto an object leaves the object's inode at that name,
// while the kernel moves the other one there. Until it was told, requests for
// the inode that is gone are answered ESTALE, on which the kernel looks the path
// up again by itself. Local files that were replaced are served for a moment
// longer.
//
// # Who watches
//
// The kernel tells programs that watch files and directories of what programs of
// this machine do, not of what it is told has changed. So changes that come from
// other devices are played to it by a helper, a process of its own that is started
// before the mount (PokeMain): it creates, touches, renames or removes, while the
// daemon shows it, and nobody else, the tree as it was before the change. What it
// asks for alters nothing but what the kernel remembers.
//
//  1. The kernel is told of a change first, and everybody sees it; the helper
//     comes after that. If it is slow, dead, or has more to do than it can, those
//     who look see the truth and those who watch do not hear of it.
//  2. What happened to a node since its last poke is told by one poke.
//     And only what somebody hears is told: who watches is looked up in /proc,
//     after the kernel was told of a change and before the helper is sent, so that
//     nobody is missed who watched before it (listeners.go). That takes a twentieth
//     of a processor at most, so while changes go on coming events may be two
//     seconds late.
//  3. The daemon never waits for the helper but in the goroutine that sends, for
//     some seconds at most, and the helper never holds what the daemon needs.
//  4. The helper follows no symbolic link, leaves no mount, and does nothing where
//     the mount is not there any more.
//
// # Who may ask
//
// The owner of the mount and root; others only with Options.AllowOther, as far as
// permissions let them: see gate.
//
// # Locks
//
// In the order in which they are taken: writeHandle.commitMu, file.mu,
// writeHandle.mu. The mutexes of tables (of tree, bases, authors, control,
// dirtySet, writerOf) are leaves: nothing is called under them. What changes the
// repository is called under commitMu at most; under file.mu content may be read.
// The kernel is notified under no lock, since that can wait for requests that
// need one.
//
// # Limits against POSIX
//
// No hard links, device nodes, or extended attributes that can be set; a
// local file and an object cannot be exchanged. Watches by dnotify, and those of a
// process of another namespace that cannot be seen, are not found, unless the mount
// is shared with other namespaces; those of a process that forbids to be looked
// into are found from its first request on. On read-only mounts, and for removed folders' contents, those who
// watch hear nothing of other devices.
// Owner and group cannot be changed; asking for it is answered with success.
// Sizes seen by fstat on a handle that is being written are those of the last
// save. A lock is honoured on this machine only. After a restart of the daemon
// nothing is known of what programs were looking at before it.
package fs
