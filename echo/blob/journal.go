package blob

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
)

// A journal says which blocks a work file holds, so that what it is can be told
// after a crash:
//
//	header: "efswork1" | boot 16 | length u32 | note | crc32 u32
//	record: kind 1 | 3 zeros | crc32 of kind and value u32 | value u64
//
// boot is the id of the running kernel. After a crash of the process alone all
// records count; after one of the machine those up to the last that says synced,
// since nothing is known of what the disk has of the rest.
type journal struct{ f *os.File }

const (
	journalMagic  = "efswork1"
	journalRecord = 16
	maxNote       = 64 << 10
)

// The kinds of records. Their numbers are stored.
const (
	recordBlock    byte = 1 + iota // value: a block that data holds
	recordTruncate                 // value: the new size
	recordSynced                   // value: the size; data up to here is on disk
	recordBuilt                    // value: the first 8 bytes of the root that is about to be committed; 0 for none
)

// bootID tells one run of the machine from another.
func bootID() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil {
		copy(id[:], bytes.ReplaceAll(b, []byte("-"), nil))
	}
	return id
}

func newJournal(path string, note []byte) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{f: f}
	if err := j.reset(note); err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

// resumeJournal goes on behind the whole records of a journal.
func resumeJournal(path string, length int64) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(length); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &journal{f: f}, nil
}

// reset empties the journal and gives it a note. It is replaced as a whole, so
// that a crash leaves the old one or the new one.
func (j *journal) reset(note []byte) error {
	if len(note) > maxNote {
		return fmt.Errorf("note of %d bytes: %w", len(note), ErrTooLarge)
	}
	boot := bootID()
	head := append([]byte(journalMagic), boot[:]...)
	head = binary.BigEndian.AppendUint32(head, uint32(len(note)))
	head = append(head, note...)
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	path := j.f.Name()
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err = f.Write(head); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return fmt.Errorf("write journal: %w", err)
	}
	_ = j.f.Close() // of a file that has no name any more
	// The name of an os.File stays that of its opening.
	if j.f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *journal) add(kind byte, value uint64) error {
	rec := make([]byte, journalRecord)
	rec[0] = kind
	binary.BigEndian.PutUint64(rec[8:], value)
	binary.BigEndian.PutUint32(rec[4:], recordSum(rec))
	if _, err := j.f.Write(rec); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func recordSum(rec []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(rec[:4]), crc32.IEEETable, rec[8:])
}

func (j *journal) block(n int64) error       { return j.add(recordBlock, uint64(n)) }
func (j *journal) truncate(size int64) error { return j.add(recordTruncate, uint64(size)) }

func (j *journal) built(root Address) error {
	return j.add(recordBuilt, binary.BigEndian.Uint64(root[:]))
}

// sync is called when the data is on disk.
func (j *journal) sync(size int64) error {
	if err := j.add(recordSynced, uint64(size)); err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return syncPath(filepath.Dir(j.f.Name()))
}

func (j *journal) close() error { return j.f.Close() }

// journalState is what the records of a journal come to.
type journalState struct {
	note     []byte
	rebooted bool // the machine was started again since
	changed  map[int64]struct{}
	limit    int64 // of the base
	size     int64 // as of the last sync
	dirty    bool
	built    Address // only its first 8 bytes
	length   int64   // of the journal as far as it is whole
}

func (s *journalState) apply(kind byte, value uint64) {
	n := int64(value)
	switch kind {
	case recordBlock:
		s.changed[n], s.dirty, s.built = struct{}{}, true, Address{}
	case recordTruncate:
		s.limit, s.dirty, s.built = min(s.limit, n), true, Address{}
		for block := range s.changed {
			if block*ChunkSize >= n {
				delete(s.changed, block)
			}
		}
	case recordSynced:
		s.size = n
	case recordBuilt:
		s.built = Address{}
		binary.BigEndian.PutUint64(s.built[:], value)
	}
}

func readJournal(path string) (journalState, error) {
	b, err := readBounded(path)
	if err != nil {
		return journalState{}, err
	}
	return parseJournal(b, bootID())
}

// maxJournal bounds what is read of a journal: more blocks than a file can
// have, many times over.
const maxJournal = 64 << 20

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	return b, errors.Join(err, f.Close())
}

var errJournal = errors.New("damaged journal")

// parseJournal reads a journal as far as it is whole.
func parseJournal(b []byte, boot [16]byte) (journalState, error) {
	const fixed = len(journalMagic) + 16 + 4
	if len(b) < fixed || string(b[:len(journalMagic)]) != journalMagic {
		return journalState{}, errJournal
	}
	n := int(binary.BigEndian.Uint32(b[fixed-4:]))
	if n > maxNote || len(b) < fixed+n+4 || binary.BigEndian.Uint32(b[fixed+n:]) != crc32.ChecksumIEEE(b[:fixed+n]) {
		return journalState{}, errJournal
	}
	s := journalState{note: bytes.Clone(b[fixed : fixed+n]), limit: math.MaxInt64, changed: make(map[int64]struct{}),
		rebooted: !bytes.Equal(b[len(journalMagic):fixed-4], boot[:])}
	records := wholeRecords(b[fixed+n+4:])
	if s.rebooted {
		records = records[:lastSynced(records)]
	}
	s.length = int64(fixed + n + 4 + len(records)*journalRecord)
	for _, rec := range records {
		s.apply(rec[0], binary.BigEndian.Uint64(rec[8:]))
	}
	return s, nil
}

func wholeRecords(b []byte) (out [][]byte) {
	for len(b) >= journalRecord {
		rec := b[:journalRecord]
		value := binary.BigEndian.Uint64(rec[8:])
		if binary.BigEndian.Uint32(rec[4:]) != recordSum(rec) || rec[0] != recordBuilt && value > MaxSize {
			break
		}
		out = append(out, rec)
		b = b[journalRecord:]
	}
	return out
}

// lastSynced returns how many records there are up to the last that says
// synced; 0 where none does.
func lastSynced(records [][]byte) int {
	for i := len(records); i > 0; i-- {
		if records[i-1][0] == recordSynced {
			return i
		}
	}
	return 0
}
