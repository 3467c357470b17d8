package vault

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/echo/doc"
	echosync "echofs/sync"
)

// Presence: which objects programs of this machine have open is told to the
// devices that are connected. An open counts when it has lasted presenceDelay, so
// that a search through all files is not seen; what changes meanwhile is told at
// once after that.

const presenceDelay = time.Second

// openKey is an object of a space.
type openKey struct {
	space  echo.SpaceID
	object doc.ObjectID
}

// openFile is an object that is open here.
type openFile struct {
	count int
	since time.Time
}

// presences knows what is open here.
type presences struct {
	tell func(echo.SpaceID, []echosync.Open)

	mu    sync.Mutex // guards the below
	open  map[openKey]*openFile
	told  map[echo.SpaceID][]echosync.Open
	timer *time.Timer // runs while there is something to tell
	ended bool
}

func newPresences(tell func(echo.SpaceID, []echosync.Open)) *presences {
	return &presences{tell: tell, open: map[openKey]*openFile{}, told: map[echo.SpaceID][]echosync.Open{}}
}

// opened takes note of an open; closed ends it.
func (p *presences) opened(n echo.Node) (closed func()) {
	k := openKey{n.Space, n.ID}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.open[k]
	if f == nil {
		f = &openFile{since: time.Now()}
		p.open[k] = f
	}
	f.count++
	p.later()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if f.count--; f.count == 0 && p.open[k] == f {
			delete(p.open, k)
			p.later()
		}
	}
}

// later tells what has changed after presenceDelay; p.mu is held.
func (p *presences) later() {
	if p.timer == nil && !p.ended {
		p.timer = time.AfterFunc(presenceDelay, p.publish)
	}
}

// publish tells each space what is open of it, where that is something else than
// before.
func (p *presences) publish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if p.ended {
		return
	}
	now := time.Now()
	next := map[echo.SpaceID][]echosync.Open{}
	for k, f := range p.open {
		if now.Sub(f.since) < presenceDelay {
			p.later()
			continue
		}
		next[k.space] = append(next[k.space], echosync.Open{Object: k.object, Since: f.since})
	}
	for _, list := range next {
		slices.SortFunc(list, func(a, b echosync.Open) int {
			return cmp.Or(a.Since.Compare(b.Since), slices.Compare(a.Object[:], b.Object[:]))
		})
	}
	for space := range p.told {
		if next[space] == nil {
			p.tell(space, nil)
		}
	}
	for space, list := range next {
		if !slices.Equal(list, p.told[space]) {
			p.tell(space, list)
		}
	}
	p.told = next
}

// close ends it; nothing is told any more.
func (p *presences) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// opened is told by a mount of each open of an object; nil where nobody is to know.
func (v *Vault) opened() func(echo.Node) func() {
	if v.net == nil || v.config.NoPresence {
		return nil
	}
	return v.presences.opened
}

// presentAt returns who else has an object open.
func (v *Vault) presentAt(n echo.Node) (out []echo.Presence) {
	for _, p := range v.presentIn(n.Space) {
		if doc.ObjectID(p.Object) == n.ID {
			out = append(out, v.presence(n.Space, p))
		}
	}
	return out
}

func (v *Vault) presentIn(space echo.SpaceID) []echosync.Present {
	if v.net == nil {
		return nil
	}
	return v.net.Present(space)
}

func (v *Vault) presence(space echo.SpaceID, p echosync.Present) echo.Presence {
	out := echo.Presence{Name: p.Device.Short(), Device: p.Device.Short(), Since: p.Since.UTC()}
	s, ok := v.repo.SpaceByID(space)
	if !ok {
		return out
	}
	for _, m := range s.MemberList() {
		for _, d := range m.Devices {
			if d.ID == p.Device.String() {
				out.Name, out.Device = cmp.Or(m.Name, out.Name), cmp.Or(d.Name, out.Device)
			}
		}
	}
	return out
}

// openElsewhere lists the files of a space that others have open, by path.
func (v *Vault) openElsewhere(s *echo.Space) (out []control.OpenFile) {
	for _, p := range v.presentIn(s.ID()) {
		n, err := s.NodeByID(doc.ObjectID(p.Object))
		if err != nil {
			continue // it has not come, or is gone
		}
		path, err := v.repo.Path(n.Ino)
		if err != nil {
			continue
		}
		out = append(out, control.OpenFile{Path: path, Presence: v.presence(s.ID(), p)})
	}
	slices.SortFunc(out, func(a, b control.OpenFile) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Device, b.Device))
	})
	return out
}
