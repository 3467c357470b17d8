package vault

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

// Recovery by the phrase. A new vault is made as by pairing, with the root's word
// in place of that of a device (Reclaim); Open makes the rest. Then the vault
// waits until it has what the others had (AwaitOthers), and lets them go
// (FinishRecovery). The file "recovering" is there until that is done: whatever
// ends it, it goes on with the next attempt.

const recoveringName = "recovering" // empty; there while a recovery is not finished

// ReclaimOptions tells how a new device is recovered.
type ReclaimOptions struct {
	Root     *halo.RootKeys
	Code     string   // of an invitation by a member; "" to look for own devices
	Signal   []string // servers where to look
	AuthCode func(context.Context) (string, error)
	Progress func(halo.GuestState)
	Pictures func([4]string)
	Timeout  time.Duration // for which a helper is looked for; 0 for the default
	NoLAN    bool
	Log      *slog.Logger
}

// Reclaim makes the directory of a vault that is a device of the identity of a
// phrase, or fails with ErrExists. An attempt that was cut off can be repeated.
func Reclaim(ctx context.Context, home string, opts MakeOptions, r ReclaimOptions) (*Dir, error) {
	return makeAdmitted(home, opts, r.NoLAN, func(d *newDevice) error { return d.reclaim(ctx, r) })
}

func (d *newDevice) reclaim(ctx context.Context, r ReclaimOptions) error {
	d.keys.Meeting = r.Root.Meeting()
	network := d.network(r.Log)
	network.Signal = r.Signal
	return echosync.Reclaim(ctx, echosync.ReclaimOptions{
		JoinOptions: echosync.JoinOptions{AuthCode: r.AuthCode, DisplayName: d.config.Device, Reach: r.Timeout, Progress: r.Progress, Pictures: r.Pictures},
		Code:        r.Code, Root: r.Root, Keys: d.keys.Device, Network: network,
		Store: func(got echosync.Paired) error {
			if err := replaceFile(d.dir.file(recoveringName), nil, false); err != nil {
				return fmt.Errorf("begin the recovery: %w", err)
			}
			return d.store(got)
		},
	})
}

// Recovering reports whether a recovery has begun and not come to its end.
func (d *Dir) Recovering() bool {
	_, err := os.Lstat(d.file(recoveringName))
	return err == nil
}

// Recovering reports whether a recovery has begun and not come to its end.
func (v *Vault) Recovering() bool { return v.dir.Recovering() }

// The times of AwaitOthers.
const (
	awaitQuiet  = 2 * time.Second  // nothing must have come for so long
	awaitChunks = 10 * time.Second // content of blobs that nobody sends for so long is not waited for
)

// AwaitOthers waits until another device is connected in each space, and all
// that these have told of has come. Where it does not get that far within a time,
// it fails with ErrUnreachable.
func (v *Vault) AwaitOthers(ctx context.Context, within time.Duration) error {
	if _, err := v.online("recover"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	sub := v.repo.Subscribe(echo.Log | echo.Members | echo.Chunks)
	defer sub.Close()
	last, lacking := time.Now(), ""
	for {
		events := len(sub.Take())
		if lacking = v.lacking(); events > 0 || lacking != "" && lacking != lackingChunks {
			last = time.Now()
		}
		quiet := time.Since(last)
		if lacking == "" && quiet >= awaitQuiet || lacking == lackingChunks && quiet >= awaitChunks {
			return nil
		}
		if err := next(ctx, sub, awaitQuiet/8); err != nil {
			return fmt.Errorf("what the other devices have did not come: %s: %w: %w", lacking, echosync.ErrUnreachable, err)
		}
	}
}

const lackingChunks = "content of blobs is missing"

// lacking says what is known to be missing here; "" for nothing.
func (v *Vault) lacking() string {
	peers := v.connected()
	spaces := v.repo.Spaces()
	if own, ok := v.repo.OwnSpace(); ok {
		spaces = append(spaces, own)
	}
	chunks := ""
	for _, s := range spaces {
		met := false
		for _, p := range peers {
			if p.Space != s.ID() {
				continue
			}
			if met = true; p.Missing > 0 {
				return fmt.Sprintf("%d entries or spaces are on their way (space %s)", p.Missing, s.Name())
			}
		}
		if !met {
			return fmt.Sprintf("nobody is met in space %q", s.Name())
		}
		if len(s.WantedChunks(1, func([32]byte) bool { return false })) > 0 {
			chunks = lackingChunks
		}
	}
	return chunks
}

// FinishRecovery lets all devices of the identity go but this one and those that
// are named, by name or the beginning of an id, and returns whom.
func (v *Vault) FinishRecovery(ctx context.Context, root *halo.RootKeys, keep []string) ([]control.Device, error) {
	if !v.repo.IsRoot(root) {
		return nil, fmt.Errorf("recover: the phrase is of another identity than this vault: %w", control.ErrRefused)
	}
	kept := map[halo.DeviceID]bool{}
	for _, name := range keep {
		id, err := v.repo.FindDevice(name)
		if err != nil {
			return nil, control.WithHint(err, "see: echofs device list")
		}
		kept[id] = true
	}
	if err := v.keys.SetMeeting(root.Meeting()); err != nil {
		return nil, err
	}
	gone, err := v.repo.Recover(ctx, root, func(d echo.OwnDevice) bool { return kept[d.ID] })
	if err == nil {
		err = v.repo.Flush()
	}
	if err != nil {
		return nil, err
	}
	if err := os.Remove(v.dir.file(recoveringName)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("finish the recovery: %w", err)
	}
	out := []control.Device{}
	for _, d := range gone {
		out = append(out, control.Device{ID: d.ID.String(), Name: d.Name, Level: d.Level.String(), State: "revoked", LastSeen: seen(d.LastSeen)})
	}
	return out, nil
}

// Recovered tells what this vault has now.
func (v *Vault) Recovered(gone []control.Device) control.Recovered {
	out := control.Recovered{Identity: v.Identity(), Spaces: []control.SpaceName{}, Revoked: list(gone)}
	for _, s := range v.repo.Spaces() {
		out.Spaces = append(out.Spaces, control.SpaceName{ID: s.PublicID(), Name: s.Name()})
	}
	return out
}

// TellOthers stays, at most for a moment, until those who are connected know what
// was said here.
func (v *Vault) TellOthers(ctx context.Context) {
	if v.net == nil {
		return
	}
	for _, s := range v.repo.Spaces() {
		if v.peerCount(s.ID()) > 0 {
			v.linger(ctx, s, halo.DeviceID{})
		}
	}
	if own, ok := v.repo.OwnSpace(); ok && v.peerCount(own.ID()) > 0 {
		v.linger(ctx, own, halo.DeviceID{})
	}
}

// recoveryWarnings tells of a recovery that is not finished, and of devices that
// contradict each other.
func (v *Vault) recoveryWarnings() (out []control.Warning) {
	if v.dir.Recovering() {
		out = append(out, control.Warning{Code: "recovering", Message: "a recovery is not finished: the other devices of this identity are still its devices",
			Fix: "run it again: echofs recover"})
	}
	if v.copied {
		out = append(out, control.Warning{Code: "copied", Message: "this vault was copied or restored: it writes on in new feeds, and others may have what it had since",
			Fix: "if the vault it is a copy of is still used, do not use both: add this machine as a device of its own (echofs device invite)"})
	}
	for _, s := range v.repo.Spaces() {
		for _, f := range s.Forks() {
			out = append(out, control.Warning{Code: "fork", Message: fmt.Sprintf("%s: feed forked on device %s: restored backup or theft?", s.Name(), s.DeviceName(f.Author.Device)),
				Fix: "if the device was not restored from a backup, let it go: echofs device revoke, or echofs member remove; see: echofs audit " + s.Name()})
		}
	}
	var suspended []string
	for _, d := range v.repo.OwnDevices() {
		if d.Suspended {
			suspended = append(suspended, d.Name)
		}
	}
	if len(suspended) > 0 {
		out = append(out, control.Warning{Code: "suspended", Message: "devices let each other go and none counts until that is decided: " + strings.Join(suspended, ", "),
			Fix: "another primary device decides (echofs device revoke), or the recovery phrase (echofs recover)"})
	}
	return out
}
