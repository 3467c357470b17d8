package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"echofs/echo"
	"echofs/echo/names"
)

// renaming is one rename on its way.
//
// What a rename is follows from what is renamed and where to:
//
//	local file    -> local name                 a rename
//	local file    -> name where no file is      the file becomes an object
//	any file      -> name of an object          a save of that object
//	object        -> new name                   a rename, one mutation
//	object        -> local name                 a backup: its content becomes a
//	                                            local file, the object waits for
//	                                            a file of its name
//	directory     -> directory                  a rename
//	link          -> link                       the other link gets its target
//	link          -> other, other -> link       a rename; what was there is gone
//
// Where a directory or a symbolic link would have to change its kind, EXDEV makes
// mv copy it.
type renaming struct {
	t        *tree
	ctx      context.Context
	who      author // who renames
	from, to place
	src, dst echo.Node // dst is zero where nothing is
	toLocal  bool      // the new name is one of this machine
	overLink bool      // a symbolic link is there, although dst is zero
}

func (r *renaming) replaces() bool { return r.dst.Ino != 0 }

// Rename implements fuse.RawFileSystem.
func (t *tree) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return fuse.EINVAL // whiteout
	}
	if isControl(in.NodeId) {
		return errnoElsewhere(t.takeFromTrash(in, oldName, newName))
	}
	if err := t.mayMake(&in.InHeader, oldName); err != nil {
		return errno(err)
	}
	target := in.InHeader
	target.NodeId = in.Newdir
	if err := t.mayMake(&target, newName); err != nil {
		return errno(err)
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	r := &renaming{t: t, ctx: ctx, who: t.proc.author(in.Pid),
		from: place{echo.Ino(in.NodeId), oldName}, to: place{echo.Ino(in.Newdir), newName}}
	err := r.find()
	switch {
	case err != nil, r.src.Ino == r.dst.Ino:
	case in.Flags&unix.RENAME_EXCHANGE != 0:
		err = r.exchange()
	case r.replaces() && in.Flags&unix.RENAME_NOREPLACE != 0:
		err = syscall.EEXIST
	default:
		err = r.run()
	}
	return errnoElsewhere(err)
}

// exchange swaps two local nodes, or two objects. A file of this machine and an
// object would both have to change their kind: EINVAL, on which programs do with
// other means.
func (r *renaming) exchange() error {
	switch {
	case !r.replaces():
		return syscall.ENOENT
	case r.src.Kind == echo.KindSpace || r.src.Kind.IsLocal() != r.dst.Kind.IsLocal():
		return syscall.EINVAL
	}
	r.expectRemoved()
	r.t.expect(entryKey{r.to.parent, r.to.name, r.dst.Ino})
	return r.t.repo.Exchange(r.ctx, r.src.Ino, r.dst.Ino)
}

// find looks up what is renamed and what is there.
func (r *renaming) find() (err error) {
	if r.src, err = r.t.child(r.from.parent, r.from.name); err != nil {
		return err
	}
	if r.t.blobs.has(r.src.Ino) { // what was written goes with the name
		if err = r.t.blobs.save(r.ctx, r.src.Ino); err != nil {
			return err
		}
		if r.src, err = r.t.child(r.from.parent, r.from.name); err != nil {
			return err
		}
	}
	r.dst, err = r.t.child(r.to.parent, r.to.name)
	if err != nil && !errors.Is(err, echo.ErrNotFound) {
		return err
	}
	dir, err := r.t.repo.Node(r.to.parent)
	if err != nil {
		return err
	}
	if r.src.Kind != echo.KindSpace && (dir.Kind == echo.KindRoot || dir.Space != r.src.Space) {
		return syscall.EXDEV
	}
	r.toLocal = dir.Kind == echo.KindLocalDir || names.IsLocal(r.to.name)
	return nil
}

func (r *renaming) run() error {
	switch {
	case r.src.Kind == echo.KindSpace:
		return r.renameSpace()
	case r.src.Kind.IsDir():
		return r.moveDir()
	case r.replaces() && r.dst.Kind.IsDir():
		return syscall.EISDIR
	case isLink(r.src.Kind):
		return r.moveLink()
	case r.replaces() && r.dst.Kind == echo.KindLink && !r.toLocal:
		return r.replaceLink()
	case r.src.Kind.IsFile() && r.toLocal:
		return r.backUp()
	case r.replaces() && r.dst.Kind.IsFile():
		return r.saveOver()
	case r.src.Kind == echo.KindLocal && !r.toLocal:
		return r.attach()
	}
	return r.move()
}

func (r *renaming) renameSpace() error {
	switch {
	case r.to.parent != echo.RootIno:
		return syscall.EXDEV
	case r.replaces():
		return syscall.EEXIST
	}
	r.expectRemoved()
	return r.t.repo.RenameSpace(r.ctx, r.src.Space, r.to.name)
}

// moveDir renames a folder or a local directory. Its kind goes with its name, so
// where that would change, the directory is to be copied.
func (r *renaming) moveDir() error {
	if r.replaces() && !r.dst.Kind.IsDir() {
		return syscall.ENOTDIR
	}
	if (r.src.Kind == echo.KindLocalDir) != r.toLocal {
		return syscall.EXDEV
	}
	return r.move()
}

// moveLink renames a symbolic link.
func (r *renaming) moveLink() error {
	switch {
	case r.src.Kind.IsLocal() != r.toLocal:
		return syscall.EXDEV
	case !r.replaces() || r.src.Kind != echo.KindLink || r.dst.Kind != echo.KindLink:
		return r.move()
	}
	r.expectRemoved()
	if err := r.t.repo.Relink(r.ctx, r.src.Ino, r.dst.Ino); err != nil {
		return err
	}
	r.t.heirs.add(r.src.Ino, r.dst.Ino)
	r.t.changed(r.dst.Ino)
	r.t.dirty.entry(r.to) // the kernel has moved the other inode there
	return nil
}

// replaceLink renames a file to where a symbolic link is, which goes in the same
// step: a save that is refused leaves it.
func (r *renaming) replaceLink() error {
	if r.src.Kind.IsFile() {
		return r.move()
	}
	link := entryKey{r.to.parent, r.to.name, r.dst.Ino}
	r.t.expect(link)
	r.dst, r.overLink = echo.Node{}, true
	err := r.attach()
	if err != nil {
		r.t.isExpected(link) // not any more
	}
	return err
}

// move renames a node that keeps its kind.
func (r *renaming) move() error {
	if r.replaces() {
		r.t.bury(r.dst)
	}
	r.expectRemoved()
	n, replaced, err := r.t.repo.Move(r.ctx, r.src.Ino, r.to.parent, r.to.name, r.replaces() || r.overLink)
	if err != nil {
		return err
	}
	r.replaced(replaced)
	if n.Name != r.to.name {
		r.t.dirty.entry(r.to)
	}
	return nil
}

// replaced drops the content of a local file that a rename replaced.
func (r *renaming) replaced(ino echo.Ino) {
	if ino != 0 {
		r.t.markGone(ino, 0)
		r.t.local.drop(ino)
	}
}

// backUp renames an object to a local name.
func (r *renaming) backUp() error {
	size, err := r.copyOut()
	if err != nil {
		return err
	}
	r.expectRemoved()
	n, replaced, err := r.t.repo.Detach(r.ctx, r.src.Ino, r.to.parent, r.to.name)
	if err != nil {
		r.t.local.drop(r.src.Ino)
		return err
	}
	r.replaced(replaced)
	_ = os.Chtimes(r.t.local.path(n.Ino), time.Time{}, n.ModTime)
	if size != n.Size {
		if _, err := r.t.repo.SetAttr(r.ctx, n.Ino, echo.AttrChange{Size: &size}); err != nil {
			return err
		}
	}
	r.t.changed(n.Ino)
	r.t.depart(r.from, r.src.ID)
	if r.src.Stage != echo.Fresh {
		r.t.setSource(n.Ino, source{copyOf: &r.src.Version})
	}
	return nil
}

// content returns what the renamed file holds: unsaved bytes of an open handle,
// else what is stored.
func (r *renaming) content() ([]byte, error) {
	if f := r.t.openFile(r.src.Ino); f != nil && r.src.Kind.IsFile() {
		if data, ok := f.unsavedContent(); ok {
			return data, nil
		}
	}
	if r.src.Kind.IsFile() {
		c, err := r.t.repo.Content(r.src.Ino)
		return c.Data, err
	}
	data, all, err := r.t.local.read(r.src.Ino, maxBuffer)
	if err == nil && !all {
		err = &echo.InvalidError{Reason: "larger than the limit", TooLarge: true}
	}
	return data, err
}

// unsavedContent returns the bytes of a write handle that has unsaved ones.
func (f *file) unsavedContent() ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := range f.writers {
		if data, _, wrote, dirty := h.unsavedBytes(); dirty && (wrote || len(data) > 0) {
			return data, true
		}
	}
	return nil, false
}

// author returns whose content the renamed file holds, and the version it was
// made from if it is a copy.
func (r *renaming) author() source {
	s := r.t.source(r.src.Ino)
	if !s.author.known() && s.copyOf == nil {
		s.author = r.who
	}
	return s
}

// save is the save of an object that a rename stands for.
func (r *renaming) save(object echo.Node, data []byte) echo.Save {
	s := echo.Save{Ino: object.Ino, Data: data}
	src := r.author()
	if src.copyOf != nil && r.src.Origin == object.ID {
		s.Base, s.Rule = src.copyOf, ruleHandle
		return s
	}
	s.Base, s.Rule = r.t.bases.base(src.author, object.ID)
	return s
}

// saveOver renames a file onto an object: a save of that object, which keeps its
// id, by the author of the file. If it is refused the file stays.
func (r *renaming) saveOver() error {
	if r.isBlob(r.dst.Kind) {
		return r.saveBlobOver()
	}
	data, err := r.content()
	if err != nil {
		return err
	}
	s := r.save(r.dst, data)
	s.Consume = r.src.Ino
	defer r.t.beginSave(r.ctx, r.dst, r.who)()
	r.expectRemoved()
	saved, err := r.t.repo.Save(r.ctx, s)
	if isInvalid(err) {
		if _, draftErr := r.t.repo.PutDraft(r.ctx, r.dst.Ino, data, asInvalid(err)); draftErr != nil {
			return draftErr
		}
		r.t.bases.drafted(r.dst.ID, s.Base)
		r.t.changed(r.dst.Ino)
	}
	if err != nil {
		return err
	}
	r.became(r.dst, saved)
	return nil
}

// attach renames a local file to a name where no file is: it becomes an object,
// or is again the one that it was or that was just there. What a structured file
// cannot be stays local.
func (r *renaming) attach() error {
	if r.replaces() {
		return r.move() // the file that is there is local too
	}
	if r.isBlob(kindOf(r.to.name)) {
		return r.attachBlob()
	}
	data, err := r.content()
	var saved echo.Saved
	if err == nil {
		s := r.save(r.was(), data)
		r.expectRemoved()
		saved, err = r.t.repo.Attach(r.ctx, r.src.Ino, r.to.parent, r.to.name, s)
	}
	if isNotText(err) || isInvalid(err) && errno(err) == fuse.Status(syscall.EFBIG) {
		return r.move() // it stays local
	}
	if err != nil {
		return err
	}
	r.became(saved.Node, saved)
	return nil
}

// was returns the object that a renamed local file is to be again, if it is.
func (r *renaming) was() echo.Node {
	back := r.dst
	if id, ok := r.t.departedFrom(r.to); ok {
		back.ID = id
	} else {
		back.ID = r.src.Origin
	}
	return back
}

// became settles what is left when the renamed file is an object now.
func (r *renaming) became(object echo.Node, saved echo.Saved) {
	src := r.author()
	r.t.bases.wrote(src.author, object.ID, saved.Wrote)
	r.t.setSource(object.Ino, source{author: src.author})
	r.t.markGone(r.src.Ino, object.Ino)
	r.t.heirs.add(r.src.Ino, object.Ino)
	if r.src.Kind == echo.KindLocal {
		r.keepTime(object)
		r.t.local.drop(r.src.Ino)
	}
	r.t.changed(object.Ino)
	if object.Ino != r.src.Ino {
		r.t.dirty.entry(r.to) // the kernel has moved the other inode there
	}
}

// keepTime gives the object the time that a program had set for the file it
// renamed, as those do that compare times to find what changed.
func (r *renaming) keepTime(object echo.Node) {
	if age := time.Since(r.src.ModTime); age < settled && age > -settled {
		return
	}
	if _, err := r.t.repo.SetAttr(r.ctx, object.Ino, echo.AttrChange{ModTime: &r.src.ModTime}); err != nil {
		r.t.log.Warn("keep the time of a renamed file", "inode", object.Ino, "error", err)
	}
}

// expectRemoved says that the kernel knows that the old name goes.
func (r *renaming) expectRemoved() {
	r.t.expect(entryKey{r.from.parent, r.from.name, r.src.Ino})
}
