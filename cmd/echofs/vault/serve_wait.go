package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
)

// waitEvery bounds how old the answer of a wait can get: members come and go
// while it waits.
const waitEvery = time.Second

// target is what a device must hold of one space.
type target struct {
	space *echo.Space
	own   echo.Vector
}

// wait returns when enough devices hold what is saved here at its beginning.
func (v *Vault) wait(ctx context.Context, req control.WaitRequest, send func(control.WaitReply) error) error {
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	targets, err := v.targets(ctx, req.PathRef)
	if err != nil {
		return err
	}
	sub := v.repo.Subscribe(echo.Acked | echo.Members)
	defer sub.Close()
	var last control.WaitReply
	for {
		sub.Take()
		now := tally(targets, req)
		if now.Done || !sameTally(now, last) {
			if err := send(now); err != nil {
				return err
			}
			last = now
		}
		if now.Done {
			return nil
		}
		if err := next(ctx, sub, waitEvery); err != nil {
			return v.waitError(err, now)
		}
	}
}

// targets returns what is to be waited for: one space, or all that have other
// devices. What is saved but does not replicate yet begins to.
func (v *Vault) targets(ctx context.Context, ref control.PathRef) ([]target, error) {
	spaces := v.repo.Spaces()
	if ref.Arg != "" {
		node, _, err := v.resolve(ref)
		if err != nil {
			return nil, err
		}
		if node.Ino != echo.RootIno {
			s, ok := v.repo.SpaceByID(node.Space)
			if !ok {
				return nil, fmt.Errorf("wait for %s: its space: %w", ref.Arg, echo.ErrNotFound)
			}
			spaces = []*echo.Space{s}
		}
	}
	var out []target
	for _, s := range spaces {
		if ref.Arg == "" && len(s.Behind()) == 0 {
			continue
		}
		if err := v.settleTree(ctx, s.Ino()); err != nil {
			return nil, fmt.Errorf("wait for space %s: %w", s.Name(), err)
		}
		out = append(out, target{s, s.Own()})
	}
	return out, nil
}

// settleTree makes the new objects below a folder replicate now.
func (v *Vault) settleTree(ctx context.Context, folder echo.Ino) error {
	var todo []echo.Node
	err := v.repo.List(folder, 0, func(n echo.Node) bool {
		if n.Stage == echo.Nascent || n.Kind == echo.KindFolder {
			todo = append(todo, n)
		}
		return ctx.Err() == nil
	})
	for _, n := range todo {
		if err != nil || ctx.Err() != nil {
			break
		}
		if n.Stage == echo.Nascent {
			err = v.repo.Settle(ctx, n.Ino)
		}
		if err == nil && n.Kind == echo.KindFolder {
			err = v.settleTree(ctx, n.Ino)
		}
		if errors.Is(err, echo.ErrNotFound) {
			err = nil // it went while we looked
		}
	}
	return errors.Join(err, ctx.Err())
}

// tally counts who holds the targets. A device counts when it holds those of
// all the spaces it is in.
func tally(targets []target, req control.WaitRequest) control.WaitReply {
	has := map[halo.DeviceID]bool{}
	names := map[halo.DeviceID]string{}
	for _, t := range targets {
		acked := t.space.AckedBy(t.own)
		for _, b := range t.space.Behind() {
			held, before := has[b.Device]
			has[b.Device] = slices.Contains(acked, b.Device) && (held || !before)
			names[b.Device] = b.Name
		}
	}
	reply := control.WaitReply{Acknowledged: []control.DeviceRef{}, Missing: []control.DeviceRef{}}
	wanted := false
	for id, ok := range has {
		ref := control.DeviceRef{ID: id.String(), Name: names[id]}
		if ok {
			reply.Acknowledged = append(reply.Acknowledged, ref)
			wanted = wanted || isDevice(ref, req.Device)
		} else {
			reply.Missing = append(reply.Missing, ref)
		}
	}
	byName := func(a, b control.DeviceRef) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) }
	slices.SortFunc(reply.Acknowledged, byName)
	slices.SortFunc(reply.Missing, byName)
	reply.Done = enough(reply, req, wanted)
	return reply
}

// enough decides whether a wait has what it waits for.
func enough(r control.WaitReply, req control.WaitRequest, wanted bool) bool {
	if req.Device != "" && !wanted || len(r.Acknowledged) < req.Peers {
		return false
	}
	return req.Device != "" || req.Peers > 0 || len(r.Missing) == 0
}

// isDevice reports whether what was typed names a device: its name, or its id
// or the beginning of that.
func isDevice(d control.DeviceRef, typed string) bool {
	return typed != "" && (d.Name == typed || len(typed) >= 8 && strings.HasPrefix(d.ID, strings.ToLower(typed)))
}

func sameTally(a, b control.WaitReply) bool {
	return slices.Equal(a.Acknowledged, b.Acknowledged) && slices.Equal(a.Missing, b.Missing)
}

// waitError says for whom a wait has waited in vain.
func (v *Vault) waitError(err error, last control.WaitReply) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var who []string
	for _, d := range last.Missing {
		who = append(who, d.Name)
	}
	hint := "are they running, and do they use the same signaling server? see: echofs peers"
	if v.net == nil {
		hint = "this vault is offline"
	}
	if len(who) == 0 {
		return control.WithHint(fmt.Errorf("wait: no other device has it: %w", control.ErrTimeout), hint)
	}
	return control.WithHint(fmt.Errorf("wait: %s do not have it yet: %w", strings.Join(who, ", "), control.ErrTimeout), hint)
}
