package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/echo/doc"
)

func (v *Vault) registerChecks() {
	control.Handle(v.server, control.CheckVault, v.fsck)
	control.Handle(v.server, control.Examine, v.examine)
}

func (v *Vault) fsck(ctx context.Context, req control.FsckRequest) (control.FsckReply, error) {
	r, err := v.repo.Fsck(ctx, req.Repair)
	if err != nil {
		return control.FsckReply{}, fmt.Errorf("check the store: %w", err)
	}
	return control.FsckReply{Objects: r.Objects, Entries: r.Entries, Problems: list(r.Problems), Repaired: r.Repaired}, nil
}

// engineTest bounds the engine's test of itself.
const engineTest = 20 * time.Second

// examine checks what can only be checked from inside of the vault.
func (v *Vault) examine(ctx context.Context, _ control.None) ([]control.Check, error) {
	out := append([]control.Check{v.examineStore(), v.examineEngine(ctx)}, v.examineKeys()...)
	out = append(out, v.examineSignal(ctx)...)
	for _, w := range v.warnings() {
		out = append(out, control.Check{Name: w.Code, State: "warn", Detail: w.Message, Fix: w.Fix})
	}
	return out, nil
}

func (v *Vault) examineStore() control.Check {
	size, err := v.storeSize()
	if err != nil {
		return control.Check{Name: "store", State: "fail", Detail: err.Error(), Fix: "echofs fsck"}
	}
	return control.Check{Name: "store", State: "ok", Detail: fmt.Sprintf("%d spaces, %.1f MiB", len(v.repo.Spaces()), float64(size)/(1<<20))}
}

// examineEngine lets the engine make a document and read it again.
func (v *Vault) examineEngine(ctx context.Context) control.Check {
	ctx, cancel := context.WithTimeout(ctx, engineTest)
	defer cancel()
	begun := time.Now()
	if err := testEngine(ctx, v.engine); err != nil {
		return control.Check{Name: "engine", State: "fail", Detail: err.Error(),
			Fix: "run: echofs doctor again; if it stays, this build does not work on this machine (memory limit, seccomp?)"}
	}
	return control.Check{Name: "engine", State: "ok", Detail: fmt.Sprintf("a document was made and read in %v", time.Since(begun).Round(time.Millisecond))}
}

func testEngine(ctx context.Context, e echo.Engine) error {
	src := doc.Source{Load: func(context.Context) ([][]byte, error) { return nil, nil }}
	if _, err := rand.Read(src.ID[:]); err != nil {
		return err
	}
	branch := doc.Branch{}
	if _, err := rand.Read(branch.Actor[:]); err != nil {
		return err
	}
	want := doc.NewMap(doc.Field{Key: "hello", Value: doc.NewText("world")})
	made, err := e.Edit(ctx, src, doc.EditRequest{Branches: []doc.Branch{branch}, Time: time.Now().Unix(),
		Edits: []doc.Edit{{Op: doc.Put, Path: doc.Keys("hello"), Value: doc.NewText("world")}}})
	if err != nil {
		return fmt.Errorf("make a document: %w", err)
	}
	src.Heads = made.Heads
	src.Load = func(context.Context) ([][]byte, error) { return [][]byte{made.Change.Bytes}, nil }
	got, err := e.Read(ctx, src, nil)
	if err != nil {
		return fmt.Errorf("read a document: %w", err)
	}
	if !got.Equal(want) {
		return errors.New("a document is not what was written into it")
	}
	return nil
}
