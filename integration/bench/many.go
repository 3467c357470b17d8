package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"echofs/echo"
	"echofs/echo/archive"
	"echofs/echo/doc"
	"echofs/echo/engine/first"
)

// perManyFolder is how many objects lie in one folder of the large space.
const perManyFolder = 1000

// manyName is the path of an object in the large space.
func manyName(n int) string {
	return filepath.Join(fmt.Sprintf("folder-%04d", n/perManyFolder), fileName(n))
}

// writeMany writes an archive of a space with count small objects in folders.
func writeMany(name string, count int) (err error) {
	a := &archive.Archive{}
	var at [8]byte
	folder := ""
	add := func(id doc.ObjectID, structure *doc.Value) error {
		var docID doc.DocumentID
		_, _ = rand.Read(docID[:])                                  // never fails
		docID[6], docID[8] = docID[6]&0x0f|0x40, docID[8]&0x3f|0x80 // a UUID
		change, _, err := first.Write(doc.ActorID(docID), 1_800_000_000, "", []doc.Edit{
			put("version", doc.NewInt(1)),
			put("access", doc.NewMap(field("spaceKey", doc.NewString(hex.EncodeToString(docID[:]))))),
			put("objects", doc.NewMap(field(id.String(), structure))),
		})
		a.Documents = append(a.Documents, archive.Document{ID: docID, Data: change.Bytes})
		return err
	}
	properties := structure(echo.TypeProperties, "", "", doc.NewMap(field("name", doc.NewText(spaceName))))
	if err := add(newObjectID(at), properties); err != nil {
		return err
	}
	a.Root = a.Documents[0].ID
	for n := range count {
		binary.BigEndian.PutUint64(at[:], uint64(n))
		if n%perManyFolder == 0 {
			id := newObjectID(at)
			folder = id.String()
			if err := add(id, structure(echo.TypeFolder, "", filepath.Dir(manyName(n)), doc.NewMap())); err != nil {
				return err
			}
		}
		data := doc.NewMap(field("title", doc.NewText(fmt.Sprintf("Buy %d litres of milk", n))), field("done", doc.NewBool(n%3 == 0)),
			field("priority", doc.NewInt(int64(n%5))), field("notes", doc.NewText("whole milk, oats, pears and one loaf of bread")))
		if err := add(newObjectID(at), structure("", folder, fileName(n), data)); err != nil {
			return err
		}
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(archive.Write(w, a), w.Flush())
}

func field(key string, v *doc.Value) doc.Field { return doc.Field{Key: key, Value: v} }

func put(key string, v *doc.Value) doc.Edit {
	return doc.Edit{Op: doc.Put, Path: doc.Keys(key), Value: v}
}

// newObjectID returns an id that no other object has.
func newObjectID(n [8]byte) (id doc.ObjectID) {
	id = doc.ObjectID(ulid.MustNew(1_800_000_000_000, rand.Reader))
	copy(id[8:], n[:])
	_, _ = rand.Read(id[6:8])
	return id
}

// structure is an object as a document holds it.
func structure(typ, parent, label string, data *doc.Value) *doc.Value {
	ref := func(text string) *doc.Value { return doc.NewMap(field("/", doc.NewText(text))) }
	system := doc.NewMap()
	if typ != "" {
		system.Fields = append(system.Fields, field("type", ref(typ)))
	}
	if parent != "" {
		system.Fields = append(system.Fields, field("parent", ref("dxn:echo:@:"+parent)))
	}
	meta := doc.NewMap(field("keys", doc.NewList()))
	if label != "" {
		meta.Fields = append(meta.Fields, field("echofs", doc.NewMap(field("name", doc.NewString(label)))))
	}
	return doc.NewMap(field("system", system), field("meta", meta), field("data", data))
}

// many measures a space with very many objects: what it takes to open, list and
// look at, and how much memory.
func (c *conductor) many(ctx context.Context) (err error) {
	v, err := c.newVault(ctx, "erin")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	file := filepath.Join(c.room, "many.tar")
	if err := writeMany(file, c.size.many); err != nil {
		return err
	}
	if _, err := v.start(ctx); err != nil {
		return err
	}
	begun := time.Now()
	if _, err := v.run(ctx, "space", "import", file, "--name", spaceName); err != nil {
		return err
	}
	what := fmt.Sprintf("%d objects in %d folders", c.size.many, (c.size.many+perManyFolder-1)/perManyFolder)
	c.report.fact(what+", imported from an archive", "%.1f s; %s at most in memory meanwhile", time.Since(begun).Seconds(), mib(v.daemon.peak()))
	if err := errors.Join(os.Remove(file), v.daemon.quiet(ctx), v.stop()); err != nil {
		return err
	}
	var starts samples
	for range 3 {
		if v.daemon != nil && len(starts) > 0 {
			if err := v.stop(); err != nil {
				return err
			}
		}
		took, err := v.start(ctx)
		if err != nil {
			return err
		}
		starts = append(starts, took)
	}
	c.report.fact("start of the daemon until the mount answers, with them", "%v", starts)
	if err := v.daemon.quiet(ctx); err != nil {
		return err
	}
	if err := c.lookAtMany(ctx, v); err != nil {
		return err
	}
	bytes, err := v.size()
	c.report.fact("vault on disk, per object of them", "%d bytes", bytes/int64(c.size.many))
	return err
}

// lookAtMany lists and looks at all objects, and then at some.
func (c *conductor) lookAtMany(ctx context.Context, v *vault) error {
	note := func(after string) {
		own, workers := v.daemon.memory()
		c.report.fact("memory after "+after, "%s, at most %s; workers %s", mib(own), mib(v.daemon.peak()), mib(workers))
	}
	note("the start")
	for _, args := range [][]string{{"ls", "-lR"}, {"find", "-size", "+1000k"}} {
		cmd := append(args[:len(args):len(args)], v.here())
		if args[0] == "find" {
			cmd = append([]string{"find", v.here()}, args[1:]...)
		}
		took, lines, err := counted(ctx, cmd[0], cmd[1:]...)
		if err != nil {
			return err
		}
		if args[0] == "ls" && lines < c.size.many {
			return fmt.Errorf("ls -lR prints %d lines for %d objects", lines, c.size.many)
		}
		c.report.fact(fmt.Sprintf("%s of all %d", args[0]+" "+args[1], c.size.many), "%.2f s", took.Seconds())
	}
	note("that")
	took, _, err := counted(ctx, "ls", "-l", filepath.Join(v.here(), filepath.Dir(manyName(c.size.many-1))))
	if err != nil {
		return err
	}
	c.report.fact(fmt.Sprintf("ls -l of one folder of %d", perManyFolder), "%v", samples{took})
	_ = dropCaches() // only root may: else it is the kernel that answers
	stats, err := apply(ctx, job{Op: "stat", Dir: v.here(), Count: 2000, Of: c.size.many})
	if err != nil {
		return err
	}
	c.report.fact("stat of one of them, any, with the kernel's caches dropped", "%v", stats)
	saves, err := apply(ctx, job{Op: "save", Dir: v.here(), From: 1, Count: c.size.saves / 5})
	if err != nil {
		return err
	}
	c.report.fact("save of one object beside them", "%v", saves)
	note("saves")
	return nil
}

// counted runs a program and counts the lines that it prints.
func counted(ctx context.Context, name string, args ...string) (took time.Duration, lines int, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		lines++
	}
	err = cmd.Wait()
	return time.Since(begun), lines, err
}
