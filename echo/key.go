package echo

import (
	"encoding/binary"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/halo"
)

// The tables of the store. The first byte of a key names its table; tables 0
// and 1 belong to the store itself. docs/FORMAT.md describes keys and values
// byte by byte. Numbers are big endian, so that they sort.
const (
	tableMeta       byte = 0x02 // name -> number or text
	tableSpace      byte = 0x03 // space -> spaceRow
	tableCredential byte = 0x04 // space, number -> signed credential, in an order that respects parents
	tableIdentity   byte = 0x05 // number -> signed credential of the own identity
	tableNode       byte = 0x06 // ino -> nodeRow
	tableList       byte = 0x07 // parent ino, ino -> nothing
	tableName       byte = 0x08 // parent ino, shown name -> ino
	tableClaim      byte = 0x09 // parent ino, plain name, 0, object id -> ino
	tableObject     byte = 0x0a // space, object id -> objectRow
	tableChild      byte = 0x0b // space, declared parent, object id -> nothing
	tableDisplaced  byte = 0x0c // space, object id -> nothing: shown elsewhere than declared
	tableDoc        byte = 0x0d // space, document id -> docRow
	tableChunk      byte = 0x0e // space, document id, number -> Automerge chunk
	tableValue      byte = 0x0f // space, object id -> the object's structure (doc.EncodeValue)
	tableText       byte = 0x10 // space, object id -> the file's text
	tableDraft      byte = 0x11 // ino -> draftRow
	tableDraftData  byte = 0x12 // ino -> bytes
	tableDue        byte = 0x13 // milliseconds, ino -> dueKind
	tableFeed       byte = 0x14 // space, feed -> feedRow
	tableEntry      byte = 0x15 // space, feed, seq -> signed entry
	tableWaiting    byte = 0x16 // space, feed, seq -> waitingRow: stored, not applied
	tableChange     byte = 0x17 // space, document id, change hash -> changeRow
	tableLog        byte = 0x18 // space, object id, number -> revisionRow
	tableAck        byte = 0x19 // space, device -> ackRow
	tableHidden     byte = 0x1a // parent ino, shown name -> ino of an object that was just removed from there
	tableBacklink   byte = 0x1c // space, target object, referring object -> nothing
	tableType       byte = 0x1e // space, type, 0, object id -> nothing
	tableFormer     byte = 0x1d // parent ino, name -> the object that went by it last
	tableConflict   byte = 0x1f // space, object id -> conflictRow: fields with several concurrent values
	tableAdopt      byte = 0x2a // space, entry, feed, seq -> changeRow: who took an entry back that a cut left out
	tableArrived    byte = 0x2c // space, feed, seq -> milliseconds: when entries up to it came from others
	tableGone       byte = 0x2b // space, document id, change hash -> goneRow: changes that were left out
	tableInvite     byte = 0x31 // invitation's id -> its record (package sync)
	tableOnce       byte = 0x32 // space, folder or zero for the root, object id -> nothing: lay there once, and is declared elsewhere or deleted
	tableBlob       byte = 0x20 // space, object id, root -> blobRow: versions of blobs that it names, or did
	tableBeside     byte = 0x21 // space, object id, root -> ino of a version that is shown beside its object
	tableKeptChunk  byte = 0x50 // space, chunk -> keptChunk: chunks that were named to a relay
	tableUse        byte = 0x51 // space, device, 1 or 2 -> useRow: bytes of entries, of chunks that a relay keeps
	tableFloor      byte = 0x52 // space -> floorRow: what the host of the invitation had
	tableBlobWant   byte = 0x22 // space, root -> wantRow: versions of which chunks are missing
	tableAsOf       byte = 0x2d // revocation -> milliseconds: until when what came from its devices counts, as it was said here
	tableRescue     byte = 0x2e // space, object id -> its structure, to be saved again in a new feed
	tableActor      byte = 0x1b // space, document id, actor -> actorRow: its last change
)

// key appends parts to a table's byte. It takes what keys are made of.
func key(table byte, parts ...any) []byte {
	k := make([]byte, 1, 96)
	k[0] = table
	for _, p := range parts {
		switch p := p.(type) {
		case Ino:
			k = binary.BigEndian.AppendUint64(k, uint64(p))
		case uint64:
			k = binary.BigEndian.AppendUint64(k, p)
		case halo.SpaceID:
			k = append(k, p[:]...)
		case halo.FeedID:
			k = append(k, p[:]...)
		case halo.EntryID:
			k = append(k, p[:]...)
		case halo.DeviceID:
			k = append(k, p[:]...)
		case halo.CredentialID:
			k = append(k, p[:]...)
		case doc.ObjectID:
			k = append(k, p[:]...)
		case doc.DocumentID:
			k = append(k, p[:]...)
		case doc.ActorID:
			k = append(k, p[:]...)
		case doc.ChangeHash:
			k = append(k, p[:]...)
		case blob.Address:
			k = append(k, p[:]...)
		case string:
			k = append(k, p...)
		case byte:
			k = append(k, p)
		default:
			panic("echo: no key is made of this") // a fault of this package, never of data
		}
	}
	return k
}

// prefixEnd returns the first key after all keys that begin with prefix.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func keyIno(k []byte, at int) Ino { return Ino(binary.BigEndian.Uint64(k[at:])) }
