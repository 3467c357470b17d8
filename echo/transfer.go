package echo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"echofs/echo/archive"
	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// Import makes a new space of an ECHO space archive, owned by this identity.
// Objects keep their ids; documents get new ones. A document keeps its history
// if that fits into one entry (halo.MaxChanges, importBytes), else it begins
// with its present value. Objects that have no file name get one from their
// name or title, or their id. name "" stands for the name the archive has.
func (r *Repo) Import(ctx context.Context, in io.Reader, name string) (*Space, error) {
	s, err := r.importArchive(ctx, in, name)
	if err != nil {
		return nil, fmt.Errorf("import space: %w", err)
	}
	return s, nil
}

// importBytes bounds the changes of imported documents in one entry.
const importBytes = 768 << 10

func (r *Repo) importArchive(ctx context.Context, in io.Reader, name string) (*Space, error) {
	a, err := archive.Read(in, archive.Limits{})
	if err != nil {
		return nil, err
	}
	docs := make([]loadedDoc, 0, len(a.Documents))
	for _, d := range a.Documents {
		l, err := r.loadForeign(ctx, d.Data)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", d.ID, err)
		}
		docs = append(docs, l)
	}
	if name == "" {
		name = archiveName(docs)
	}
	a.Documents = nil
	s, err := r.newSpace(ctx, name)
	if err != nil {
		return nil, err
	}
	for len(docs) > 0 {
		n := 0
		err := s.update(ctx, func(t *txn) (err error) {
			n, err = t.importSome(docs)
			return err
		})
		if err != nil {
			return nil, err
		}
		clear(docs[:n]) // their changes may take much room
		docs = docs[n:]
	}
	return s, s.publishProfile(ctx)
}

// loadedDoc is a document of an archive that was found to be good. What it shows
// is not kept: an archive may have a million of them.
type loadedDoc struct {
	changes [][]byte // in causal order
	size    int      // bytes of changes
	objects int      // number of them
	name    string   // of the space, where it has its properties
}

// cost is how many changes of an entry the document takes: one more for each
// object that gets a name.
func (l *loadedDoc) cost() int { return len(l.changes) + l.objects }

// loadForeign reads a file of chunks: documents and changes in any order,
// changes possibly more than once.
func (r *Repo) loadForeign(ctx context.Context, data []byte) (loadedDoc, error) {
	chunks, err := guard.SplitChunks(data)
	if err != nil {
		return loadedDoc{}, err
	}
	seen := map[doc.ChangeHash]bool{}
	var all []foldChange
	add := func(chunk []byte) error {
		info, err := guard.Check(chunk, guard.Rules{})
		if err == nil && !seen[info.Hash] {
			seen[info.Hash] = true
			all = append(all, foldChange{info, chunk})
		}
		return err
	}
	for _, c := range chunks {
		if c.Type != guard.TypeDocument {
			if err := add(c.Bytes); err != nil {
				return loadedDoc{}, err
			}
			continue
		}
		changes, err := r.changesOf(ctx, c.Bytes)
		if err != nil {
			return loadedDoc{}, err
		}
		for _, change := range changes {
			if err := add(change.Bytes); err != nil {
				return loadedDoc{}, err
			}
		}
	}
	l := loadedDoc{}
	if l.changes, err = causalOrder(all); err != nil {
		return loadedDoc{}, err
	}
	for _, c := range l.changes {
		l.size += len(c)
	}
	value, err := r.valueOf(ctx, l.changes)
	if err != nil {
		return loadedDoc{}, err
	}
	l.objects, l.name = len(objectsOf(value)), propertiesName(value)
	return l, nil
}

// valueOf returns what a document of these changes shows.
func (r *Repo) valueOf(ctx context.Context, changes [][]byte) (*doc.Value, error) {
	res, err := r.engine.Merge(ctx, doc.Source{ID: randomDocument(), Load: noChunks}, changes)
	return res.Value, err
}

// randomDocument returns the id of a new document: a random UUID, since other
// ECHO software accepts only UUIDs.
func randomDocument() (id doc.DocumentID) {
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// changesOf returns the changes of a document chunk.
func (r *Repo) changesOf(ctx context.Context, chunk []byte) ([]doc.Change, error) {
	heads, err := documentHeads(chunk)
	if err != nil {
		return nil, err
	}
	return r.engine.Changes(ctx, doc.Source{ID: randomDocument(), Heads: heads,
		Load: func(context.Context) ([][]byte, error) { return [][]byte{chunk}, nil }})
}

var errChunk = errors.New("malformed document chunk")

// documentHeads reads the heads that a document chunk names: behind the header
// (magic 4, checksum 4, type 1, length) come the actors, each with its length,
// and then the heads.
func documentHeads(chunk []byte) (doc.Heads, error) {
	const header, maxCount = 9, 1 << 20
	if len(chunk) < header {
		return nil, errChunk
	}
	b := bytes.NewReader(chunk[header:])
	if _, err := binary.ReadUvarint(b); err != nil { // length
		return nil, errChunk
	}
	actors, err := binary.ReadUvarint(b)
	if err != nil || actors > maxCount {
		return nil, errChunk
	}
	for range actors {
		n, err := binary.ReadUvarint(b)
		if err != nil || n > uint64(b.Len()) {
			return nil, errChunk
		}
		_, _ = b.Seek(int64(n), io.SeekCurrent)
	}
	count, err := binary.ReadUvarint(b)
	if err != nil || count > uint64(b.Len())/uint64(len(doc.ChangeHash{})) {
		return nil, errChunk
	}
	hashes := make([]doc.ChangeHash, count)
	for i := range hashes {
		if _, err := io.ReadFull(b, hashes[i][:]); err != nil {
			return nil, errChunk
		}
	}
	return doc.NewHeads(hashes...), nil
}

// propertiesName returns the name of the space whose properties a document
// holds, or "".
func propertiesName(document *doc.Value) string {
	for _, structure := range objectsOf(document) {
		if s := readShape(structure); s.Type == TypeProperties {
			return s.Data.Get(keyName).Text()
		}
	}
	return ""
}

func archiveName(docs []loadedDoc) string {
	for _, d := range docs {
		if d.name != "" {
			return d.name
		}
	}
	return "imported"
}

// importSome imports the first documents, as many as fit into one entry, and
// returns how many they were.
func (t *txn) importSome(docs []loadedDoc) (int, error) {
	if err := t.openFeed(); err != nil {
		return 0, err
	}
	size, changes := 0, 0
	for n, d := range docs {
		if n > 0 && (size+d.size > importBytes || changes+d.cost() > halo.MaxChanges) {
			return n, nil
		}
		if err := t.importDocument(d); err != nil {
			return 0, err
		}
		size, changes = size+d.size, changes+d.cost()
	}
	return len(docs), nil
}

func (t *txn) importDocument(l loadedDoc) error {
	if l.size > importBytes || l.cost() > halo.MaxChanges {
		value, err := t.s.repo.valueOf(t.ctx, l.changes)
		if err != nil {
			return err
		}
		return t.importValue(value)
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	imported := halo.NewImport(nonce, l.changes)
	d, err := t.document(imported.Doc)
	if err != nil {
		return err
	}
	res, err := t.s.repo.engine.Merge(t.ctx, t.source(d), l.changes)
	if err != nil {
		return err
	}
	var last doc.ChangeHash
	for _, b := range l.changes {
		info, err := guard.Check(b, guard.Rules{})
		if err != nil {
			return err
		}
		t.addChange(d, doc.Change{Hash: info.Hash, Bytes: b}, info, changeRow{Feed: t.s.own.id, Entry: t.s.nextEntry()})
		last = info.Hash
	}
	t.putDocument(d, res.Heads)
	t.imports = append(t.imports, imported)
	if err := t.absorb(d, res.Value, t.ownOrigin(), last, nil, nil); err != nil {
		return err
	}
	return t.nameObjects(res.Value)
}

// importValue makes a document of a value, without its history.
func (t *txn) importValue(value *doc.Value) error {
	d := &document{id: randomDocument()}
	var edits []doc.Edit
	for _, f := range value.Fields {
		edits = append(edits, doc.Edit{Op: doc.Put, Path: doc.Keys(f.Key), Value: f.Value})
	}
	if _, err := t.edit(d, nil, edits, nil); err != nil {
		return err
	}
	return t.nameObjects(value)
}

// nameObjects gives a file name to the objects of an imported document that
// have none.
func (t *txn) nameObjects(value *doc.Value) error {
	ids := make([]doc.ObjectID, 0, 1)
	for id, structure := range objectsOf(value) {
		if s := readShape(structure); s.Kind != 0 && s.Label == "" && !s.Deleted {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, doc.ObjectID.Compare)
	for _, id := range ids {
		structure, err := getValue(t, t.s.id, id)
		if err != nil {
			return err
		}
		if _, err := t.editObject(id, t.labelEdits(id, derivedLabel(id, readShape(structure)))...); err != nil {
			return err
		}
	}
	return nil
}

// maxDerived is how many characters of a name or title become a file's name.
const maxDerived = 80

// derivedLabel is the name of a file whose object has none of its own.
func derivedLabel(id doc.ObjectID, s shape) string {
	for _, field := range []string{keyName, "title"} {
		name := strings.Join(strings.Fields(s.Data.Get(field).Text()), " ")
		name = strings.ReplaceAll(name, "/", "-")
		if runes := []rune(name); len(runes) > maxDerived {
			name = strings.TrimSpace(string(runes[:maxDerived]))
		}
		if name == "" {
			continue
		}
		if s.Kind == KindFolder {
			return name
		}
		return name + strings.TrimPrefix(s.shownLabel(id), id.String())
	}
	return s.shownLabel(id)
}

// Export writes the space as an ECHO space archive: all documents, deleted
// objects included, without keys and members.
func (s *Space) Export(ctx context.Context, w io.Writer) error {
	if s.Relays() {
		return fmt.Errorf("export space: this device is a relay of it, which cannot read it: %w", halo.ErrNotAllowed)
	}
	if err := s.SettleAll(ctx); err != nil {
		return fmt.Errorf("export space: %w", err)
	}
	a, err := s.buildArchive(ctx)
	if err == nil {
		err = archive.Write(w, a)
	}
	return wrapf(err, "export space")
}

// SettleAll makes all new objects of the space replicate now.
func (s *Space) SettleAll(ctx context.Context) error {
	var inos []Ino
	err := scanPrefix(s.repo.store, key(tableObject, s.id), func(_, v []byte) bool {
		var row objectRow
		if decodeRow(v, &row) == nil && row.Doc.IsZero() && row.Ino != 0 {
			inos = append(inos, row.Ino)
		}
		return true
	})
	for _, ino := range inos {
		err = errors.Join(err, s.repo.Settle(ctx, ino))
	}
	return err
}

func (s *Space) buildArchive(ctx context.Context) (*archive.Archive, error) {
	s.mu.Lock() // one state of the space
	defer s.mu.Unlock()
	t := &txn{overlay: newOverlay(s.repo.store), s: s, ctx: ctx, now: s.repo.now()}
	links, root, err := t.objectLinks()
	if err != nil {
		return nil, err
	}
	a := &archive.Archive{Root: root, Metadata: archive.Metadata{CreatedAt: t.now.UnixMilli(), OriginalSpaceID: s.PublicID()}}
	prefix := key(tableDoc, s.id)
	var ids []doc.DocumentID
	err = scanPrefix(t, prefix, func(k, _ []byte) bool {
		var id doc.DocumentID
		copy(id[:], k[len(prefix):])
		ids = append(ids, id)
		return true
	})
	if err != nil {
		return nil, err
	}
	rootData, err := t.exportRoot(root, links)
	if err != nil {
		return nil, fmt.Errorf("root document: %w", err)
	}
	a.Documents = append(a.Documents, archive.Document{ID: root, Data: rootData})
	for _, id := range ids {
		if id == root {
			continue
		}
		d, err := t.document(id)
		if err != nil {
			return nil, err
		}
		chunk, err := s.repo.engine.Compact(ctx, t.source(d))
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", id, err)
		}
		a.Documents = append(a.Documents, archive.Document{ID: id, Data: chunk})
	}
	return a, nil
}

// objectLinks returns the links of the space's root document, one for each
// object outside of it, and the root document: the one with the properties.
func (t *txn) objectLinks() (*doc.Value, doc.DocumentID, error) {
	var root doc.DocumentID
	type link struct {
		id  doc.ObjectID
		doc doc.DocumentID
	}
	var all []link
	prefix := key(tableObject, t.s.id)
	err := scanRows(t, prefix, func(k []byte, row *objectRow) bool {
		if row.Doc.IsZero() {
			return true
		}
		if row.Type == TypeProperties && root.IsZero() {
			root = row.Doc
		}
		var id doc.ObjectID
		copy(id[:], k[len(prefix):])
		all = append(all, link{id, row.Doc})
		return true
	})
	if root.IsZero() {
		root = randomDocument()
	}
	links := doc.NewMap()
	for _, l := range all {
		if l.doc != root {
			links.Fields = append(links.Fields, doc.Field{Key: l.id.String(), Value: doc.NewString(l.doc.URL())})
		}
	}
	return links, root, err
}

// exportRoot returns the root document with its links. They are an extra
// change that only the archive has: in a live space the objects' documents
// themselves say what there is.
func (t *txn) exportRoot(root doc.DocumentID, links *doc.Value) ([]byte, error) {
	d, err := t.document(root)
	if err != nil {
		return nil, err
	}
	edits := []doc.Edit{{Op: doc.Put, Path: doc.Keys("links"), Value: links}}
	var chunk []byte
	if d.has {
		if chunk, err = t.s.repo.engine.Compact(t.ctx, t.source(d)); err != nil {
			return nil, err
		}
	} else {
		properties := newStructure(shape{Type: TypeProperties,
			Data: doc.NewMap(doc.Field{Key: keyName, Value: doc.NewText(t.s.Name())})}, t.now.UnixMilli())
		edits = append(newDocument(t.s.spaceKey(), t.s.repo.newObjectID(), properties), edits...)
	}
	res, err := t.s.repo.engine.Edit(t.ctx, t.source(d), doc.EditRequest{Time: t.now.Unix(), Edits: edits,
		Branches: []doc.Branch{{Actor: doc.ActorID(randomDocument())}}})
	return append(chunk, res.Change.Bytes...), err
}
