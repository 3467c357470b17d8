package vault

import (
	"context"
	"math"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// progress tells how the sync of a space goes, and whether nothing is known to be
// missing. While no device is connected about it there is no sync, which counts as
// done.
func (v *Vault) progress(s *echo.Space) (*control.SyncStatus, bool) {
	if v.net == nil || v.net.Connected(s.ID()) == 0 {
		return nil, true
	}
	p, ok := v.net.Progress(s.ID())
	if !ok {
		return nil, true
	}
	blobs := s.BlobState()
	out := &control.SyncStatus{Entries: p.Entries, Bytes: p.Bytes, PerSec: p.EntryRate, Rate: math.Round(p.ByteRate),
		Blobs: blobs.Incomplete, Content: blobs.Missing}
	if p.Known {
		out.Total = &p.Total
	}
	if eta, known := p.ETA(); known {
		seconds := math.Ceil(eta.Seconds())
		out.ETA = &seconds
	}
	return out, p.Known && p.Missing() == 0 && blobs.Incomplete == 0
}

// together adds up how the syncs of several spaces go: what is not known of one is
// not known of all, and all are there when the last one is.
func together(all, one *control.SyncStatus) *control.SyncStatus {
	if all == nil || one == nil {
		if all == nil {
			return one
		}
		return all
	}
	sum := &control.SyncStatus{Entries: all.Entries + one.Entries, Bytes: all.Bytes + one.Bytes, PerSec: all.PerSec + one.PerSec,
		Rate: all.Rate + one.Rate, Blobs: all.Blobs + one.Blobs, Content: all.Content + one.Content}
	if all.Total != nil && one.Total != nil {
		total := *all.Total + *one.Total
		sum.Total = &total
	}
	if all.ETA != nil && one.ETA != nil {
		eta := max(*all.ETA, *one.ETA)
		sum.ETA = &eta
	}
	return sum
}

// meetPatience is how long a guest waits for somebody to sync with.
const meetPatience = 5 * time.Second

// followSync tells how the first sync of a space goes, until all that is known of
// has come but for contents of blobs, nobody is connected for meetPatience, or ctx
// ends, which is no error: the sync goes on without a listener.
func (v *Vault) followSync(ctx context.Context, s *echo.Space, send func(control.SyncStatus) error) error {
	sub := v.repo.Subscribe(echo.Log | echo.Members)
	defer sub.Close()
	var told time.Time
	last := time.Now() // when somebody was there
	for time.Since(last) < meetPatience {
		sub.Take()
		if v.net.Connected(s.ID()) > 0 {
			last = time.Now()
		}
		p, _ := v.progress(s)
		finished := p != nil && p.Total != nil && *p.Total == p.Entries
		if p != nil && (finished || time.Since(told) >= watchPause) {
			if err := send(*p); err != nil {
				return err
			}
			told = time.Now()
		}
		if finished || next(ctx, sub, watchPause) != nil {
			return nil
		}
	}
	return nil
}
