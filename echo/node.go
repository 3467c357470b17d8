package echo

import (
	"time"

	"echofs/echo/doc"
	"echofs/halo"
)

// SpaceID names a space: the hash of its genesis credential.
type SpaceID = halo.SpaceID

// Ino is the number of a node in the vault's tree: the inode number a mount
// shows. Numbers are given once, survive restarts and are never used again.
type Ino uint64

// RootIno is the node above the spaces, the root of a mount.
const RootIno Ino = 1

// MaxIno bounds the numbers that this package gives. A mount may use larger
// ones for files of its own making.
const MaxIno Ino = 1<<62 - 1

// Kind tells what a node is.
type Kind uint8

// The kinds of nodes. Their numbers are stored; add at the end only.
const (
	KindRoot      Kind = iota + 1 // RootIno
	KindSpace                     // a space; its children are objects and local files
	KindFolder                    // an object that holds others
	KindObject                    // a structured object: its data as JSON
	KindText                      // a text object: its body
	KindLocal                     // a file of this machine only
	KindLocalDir                  // a directory of this machine only
	KindLocalLink                 // a symbolic link of this machine only
	KindLink                      // a symbolic link that is an object
	KindBlob                      // a blob object: content outside of the documents
)

var kindNames = map[Kind]string{KindRoot: "root", KindSpace: "space", KindFolder: "folder",
	KindObject: "object", KindText: "text", KindLocal: "local", KindLocalDir: "local",
	KindLocalLink: "local", KindLink: "link", KindBlob: "blob"}

// String returns the word that `echofs stat` prints.
func (k Kind) String() string { return kindNames[k] }

// IsDir reports whether a node of this kind has children.
func (k Kind) IsDir() bool {
	return k == KindRoot || k == KindSpace || k == KindFolder || k == KindLocalDir
}

// IsLocal reports whether a node of this kind stays on this machine.
func (k Kind) IsLocal() bool { return k == KindLocal || k == KindLocalDir || k == KindLocalLink }

// IsFile reports whether a node of this kind is a replicated object with
// content.
func (k Kind) IsFile() bool { return k == KindObject || k == KindText || k == KindBlob }

// Stage is how far an object has come.
type Stage uint8

// The stages of an object. Their numbers are stored; add at the end only.
const (
	// Settled objects have a document; everybody in the space gets them.
	Settled Stage = iota
	// Fresh files have been created, but no valid content was saved yet. They
	// have an id and exist on this machine only.
	Fresh
	// Nascent objects have content, but have not kept their name for
	// Options.SettleDelay; they exist on this machine only.
	Nascent
)

// Version is what somebody was looking at: a version of an object's document.
// The zero Version is the first content of an object, from before it had a
// document.
type Version struct {
	Heads doc.Heads
}

// Node is a node of the tree as it was when it was asked for.
type Node struct {
	Ino    Ino
	Parent Ino
	Name   string // one path component, as a mount shows it
	Kind   Kind
	Stage  Stage

	Space SpaceID
	ID    doc.ObjectID // zero for spaces and local nodes
	Type  string       // the DXN of the object's type; "" for none

	Size    int64  // bytes of Content; for local files kept by the file system
	Mode    uint32 // as the file system keeps it: permission bits and what it adds; 0 means the default
	ModTime time.Time
	Changed time.Time // of attributes, content or place (ctime)

	Draft    bool         // Content is a save that was not valid
	ReadOnly bool         // this device may not write here: its role is reader, or none
	Target   string       // KindLink, KindLocalLink
	Origin   doc.ObjectID // KindLocal: the object it was renamed away from, if any
	Version  Version      // the current version; zero unless Stage is Settled
	Base     string       // the rule that chose the base of the last save here; "" for none
	Of       doc.ObjectID // the object of which this is a version that is shown beside it; else zero

	blob BlobVersion
}

// Content is what a file holds at one moment.
type Content struct {
	Data    []byte // never changed by anybody
	Version Version
	Draft   bool // Data is a save that was not valid; Version is that of the object below
	ModTime time.Time
}
