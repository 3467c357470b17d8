package echo

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/halo"
)

// Rows are stored as CBOR maps with small integer keys (docs/FORMAT.md). A key
// that a version does not know is ignored, so that rows can grow.

type spaceRow struct {
	Ino     Ino         `cbor:"1,keyasint"`
	Name    string      `cbor:"2,keyasint"` // local name
	OwnFeed halo.FeedID `cbor:"3,keyasint"`
	Joined  int64       `cbor:"4,keyasint"` // ms
	Creds   uint64      `cbor:"5,keyasint"` // number of stored credentials

	FirstFeed halo.FeedID `cbor:"6,keyasint,omitempty"`  // the first own feed, where there is another now
	Own       bool        `cbor:"20,keyasint,omitempty"` // of the identity's devices; shown nowhere
}

// nodeRow is a node of the tree and all that a listing shows of it.
type nodeRow struct {
	Parent   Ino          `cbor:"1,keyasint"`
	Name     string       `cbor:"2,keyasint"`           // as shown
	Plain    string       `cbor:"3,keyasint,omitempty"` // as it would show were it alone
	Label    string       `cbor:"4,keyasint,omitempty"` // as its authors wrote it
	Kind     Kind         `cbor:"5,keyasint"`
	Stage    Stage        `cbor:"6,keyasint,omitempty"`
	Space    halo.SpaceID `cbor:"7,keyasint"`
	ID       doc.ObjectID `cbor:"8,keyasint"`
	Type     string       `cbor:"9,keyasint,omitempty"`
	Size     int64        `cbor:"10,keyasint,omitempty"`
	Mode     uint32       `cbor:"11,keyasint,omitempty"`
	ModTime  int64        `cbor:"12,keyasint"` // ns
	Changed  int64        `cbor:"13,keyasint"` // ns
	HasDraft bool         `cbor:"14,keyasint,omitempty"`
	DraftLen int64        `cbor:"15,keyasint,omitempty"`
	Target   string       `cbor:"16,keyasint,omitempty"`
	Origin   doc.ObjectID `cbor:"17,keyasint,omitempty"`
	Heads    doc.Heads    `cbor:"18,keyasint,omitempty"`
	Base     string       `cbor:"19,keyasint,omitempty"`
	Hidden   bool         `cbor:"20,keyasint,omitempty"` // removed, but not yet marked deleted
	Settle   int64        `cbor:"21,keyasint,omitempty"` // ms: when a nascent object becomes settled
	DraftAt  int64        `cbor:"22,keyasint,omitempty"` // ns
	Root     blob.Address `cbor:"23,keyasint,omitzero"`  // KindBlob: of the version it shows
	Rev      uint64       `cbor:"24,keyasint,omitempty"`
	Of       doc.ObjectID `cbor:"25,keyasint,omitzero"`  // the object of which this is a version beside it
	Seen     doc.Heads    `cbor:"30,keyasint,omitempty"` // Hidden: the version that was removed
	Gone     string       `cbor:"31,keyasint,omitempty"` // Hidden: the name it was removed from
}

func (n *nodeRow) node(ino Ino, readOnly bool) Node {
	node := Node{
		Ino: ino, Parent: n.Parent, Name: n.Name, Kind: n.Kind, Stage: n.Stage,
		Space: n.Space, ID: n.ID, Type: n.Type, Size: n.Size, Mode: n.Mode,
		ModTime: time.Unix(0, n.ModTime), Changed: time.Unix(0, n.Changed),
		Draft: n.HasDraft, ReadOnly: readOnly && !n.Kind.IsLocal(), Target: n.Target,
		Origin: n.Origin, Version: Version{n.Heads}, Base: n.Base,
		Of: n.Of,
	}
	if n.Kind == KindBlob {
		node.blob = n.blobVersion()
	}
	if n.HasDraft {
		node.Size = n.DraftLen
		node.ModTime = time.Unix(0, n.DraftAt)
	}
	return node
}

// objectRow says where an object is kept. It stays when the object is deleted.
type objectRow struct {
	Ino     Ino            `cbor:"1,keyasint"` // 0: not in the tree
	Doc     doc.DocumentID `cbor:"2,keyasint"`
	Deleted bool           `cbor:"3,keyasint,omitempty"`
	Parent  doc.ObjectID   `cbor:"4,keyasint,omitempty"` // as declared
	Label   string         `cbor:"5,keyasint,omitempty"`
	Kind    Kind           `cbor:"6,keyasint,omitempty"` // 0: shown nowhere (the space's properties)
	Type    string         `cbor:"7,keyasint,omitempty"`
	First   doc.ChangeHash `cbor:"8,keyasint,omitempty"`  // the change that made the first content
	Foreign bool           `cbor:"9,keyasint,omitempty"`  // made by another identity
	Logged  uint64         `cbor:"10,keyasint,omitempty"` // number of revisions
	When    int64          `cbor:"11,keyasint,omitempty"` // ms, of the last change
	Refs    bool           `cbor:"12,keyasint,omitempty"` // refers to other objects
	Texts   bool           `cbor:"13,keyasint,omitempty"` // made by software that writes every string as a text
}

// docRow is the state of one document.
type docRow struct {
	Heads    doc.Heads   `cbor:"1,keyasint"`
	Chunks   uint64      `cbor:"2,keyasint"`           // chunks stored, numbered from 0
	Bytes    int64       `cbor:"3,keyasint"`           // of all chunks
	Branches []branchRow `cbor:"4,keyasint,omitempty"` // of this device, by number
	Changes  uint64      `cbor:"5,keyasint"`           // changes applied
	Tail     uint64      `cbor:"6,keyasint,omitempty"` // chunks after the snapshot
	Feed     halo.FeedID `cbor:"7,keyasint,omitempty"` // whose actors Branches are; zero: the first own feed's
	Moved    uint64      `cbor:"8,keyasint,omitempty"` // the last operation up to which an element of a list may have been moved
}

type branchRow struct {
	Last doc.ChangeHash `cbor:"1,keyasint"`
	Seq  uint64         `cbor:"2,keyasint"`
}

// changeRow marks a change as applied, and by which entry.
type changeRow struct {
	Feed  halo.FeedID `cbor:"1,keyasint"`
	Entry uint64      `cbor:"2,keyasint"`
	MaxOp uint64      `cbor:"3,keyasint"` // of the change and all it depends on
}

// actorRow is the last change of an actor in a document.
type actorRow struct {
	Seq  uint64         `cbor:"1,keyasint"`
	Last doc.ChangeHash `cbor:"2,keyasint"`
}

type draftRow struct {
	Line     int          `cbor:"1,keyasint,omitempty"`
	Column   int          `cbor:"2,keyasint,omitempty"`
	Pointer  string       `cbor:"3,keyasint,omitempty"`
	Reason   string       `cbor:"4,keyasint"`
	TooLarge bool         `cbor:"5,keyasint,omitempty"`
	NotText  bool         `cbor:"6,keyasint,omitempty"`
	Saved    int64        `cbor:"7,keyasint"` // ns
	Space    halo.SpaceID `cbor:"8,keyasint"`
	Length   int64        `cbor:"9,keyasint"`
	Heads    doc.Heads    `cbor:"10,keyasint,omitempty"` // of the object when the draft was kept
}

type feedRow struct {
	Next     uint64          `cbor:"1,keyasint"`
	Last     halo.EntryID    `cbor:"2,keyasint"`
	Device   halo.DeviceID   `cbor:"3,keyasint"`
	Identity halo.IdentityID `cbor:"4,keyasint"`
}

// waitingRow says why a stored entry is not part of the documents.
type waitingRow struct {
	State  entryState `cbor:"1,keyasint"`
	Reason string     `cbor:"2,keyasint,omitempty"`
}

// entryState is where a stored entry stands. The numbers are stored.
type entryState uint8

const (
	entryApplied     entryState = iota // no row
	entryPending                       // waits for changes, credentials or a key
	entryVoid                          // not allowed or malformed: void on every replica
	entryQuarantined                   // the core did not survive it here
	entryLate                          // beyond its feed's cut, and nothing that counts builds on it
	entryHeld                          // of a revoked device's feed that nobody has sealed yet
	entrySealed                        // stored by a relay, which cannot open it
)

type revisionRow struct {
	Time     int64           `cbor:"1,keyasint"` // ms, as the author says
	Feed     halo.FeedID     `cbor:"2,keyasint"`
	Seq      uint64          `cbor:"3,keyasint"`
	Device   halo.DeviceID   `cbor:"4,keyasint"`
	Identity halo.IdentityID `cbor:"5,keyasint"`
	Heads    doc.Heads       `cbor:"6,keyasint"` // the document after it, as seen here
	Fields   []string        `cbor:"7,keyasint,omitempty"`
	Summary  string          `cbor:"8,keyasint,omitempty"`
	Change   doc.ChangeHash  `cbor:"9,keyasint"`

	// What the object was before, see place.go.
	Size int64     `cbor:"10,keyasint,omitempty"` // 1 more than the bytes of its file; 0: nothing is said of what it was
	Was  *placeRow `cbor:"11,keyasint,omitempty"` // nil: it shows as it did
}

type ackRow struct {
	Vector map[halo.FeedID]Position `cbor:"1,keyasint"`
	Seen   int64                    `cbor:"2,keyasint"` // ms
}

// dueKind tells what is to be done with a node at its time.
type dueKind byte

const (
	dueSettle dueKind = 1 // a nascent object has kept its name long enough
	duePurge  dueKind = 2 // a removed object is to be marked deleted
	dueHeld   dueKind = 3 // the same, as one of many that are held
)

var rowMode = func() cbor.EncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortCanonical, IndefLength: cbor.IndefLengthForbidden}.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}()

func encodeRow(row any) []byte {
	b, err := rowMode.Marshal(row)
	if err != nil {
		panic(fmt.Sprintf("echo: encode %T: %v", row, err)) // rows are made of plain types
	}
	return b
}

func decodeRow(b []byte, row any) error {
	if err := cbor.Unmarshal(b, row); err != nil {
		return fmt.Errorf("damaged row of %T: %w", row, err)
	}
	return nil
}
