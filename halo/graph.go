package halo

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// Graph is a growing set of credentials, closed under parents: those of a
// space with the identities in it, or those of one identity. Two graphs that
// hold the same credentials give the same answers, in whatever order they were
// added. A Graph may be used by several goroutines.
type Graph struct {
	space    SpaceID    // zero in an identity graph
	identity IdentityID // zero in a space graph

	mu      sync.Mutex                   // guards what follows
	nodes   []*node                      // in an order in which parents come first
	index   map[CredentialID]int         // into nodes
	heads   map[CredentialID]struct{}    // nodes that are no parent of another
	pending map[CredentialID]*Credential // whose parents are not all in nodes
	devices map[DeviceID][]introduction  // where a device's keys stand
	roots   map[IdentityID][]introduction
	memo    map[string]*State // by sorted heads

	// For the resolver: nodes by author, and those that take something.
	acts       []int
	signed     map[DeviceID][]int
	issued     map[IdentityID][]int // of the space
	ofIdentity map[IdentityID][]int // of the identity
	claims     map[LinkID][]int     // that came by a link
	standings  map[standing]bool
	folds      map[foldKey]*State
}

// node is a credential in its place.
type node struct {
	*Credential
	ancestors bitset // strict
	depth     int    // number of ancestors
	granted   bool   // its author had the authority, by the ancestors
	voided    bitset // of the ancestors, by the acts among them; nil for none
	need      need
	act       *act // what it takes from somebody; nil for nothing, or not granted
}

// before orders nodes so that parents come first, the same for everybody.
func (n *node) before(other *node) int {
	if n.depth != other.depth {
		return n.depth - other.depth
	}
	return n.ID.Compare(other.ID)
}

// introduction is a node that names a key.
type introduction struct {
	node int
	key  [32]byte
}

const memoSize = 256 // states kept; more are computed again

// NewGraph returns an empty graph for the credentials of a space and of the
// identities in it.
func NewGraph(space SpaceID) *Graph {
	g := newGraph()
	g.space = space
	return g
}

// NewIdentityGraph returns an empty graph for the credentials of an identity.
func NewIdentityGraph(identity IdentityID) *Graph {
	g := newGraph()
	g.identity = identity
	return g
}

func newGraph() *Graph {
	return &Graph{
		index: map[CredentialID]int{}, heads: map[CredentialID]struct{}{}, pending: map[CredentialID]*Credential{},
		devices: map[DeviceID][]introduction{}, roots: map[IdentityID][]introduction{}, memo: map[string]*State{},
		signed: map[DeviceID][]int{}, issued: map[IdentityID][]int{}, ofIdentity: map[IdentityID][]int{}, claims: map[LinkID][]int{},
		standings: map[standing]bool{}, folds: map[foldKey]*State{},
	}
}

// Space returns the space of the graph; zero for an identity graph.
func (g *Graph) Space() SpaceID { return g.space }

// Add puts c into the graph, and with it those that waited for it. It returns
// the credentials that are in the graph now and were not before, parents
// first. A credential with unknown parents waits (see Missing) and a known one
// changes nothing: both give an empty result and no error. A credential whose
// author lacked the authority is kept, and has no effect.
//
// Add fails with ErrForeign for a credential of another space or identity,
// with ErrBadSignature where the signing key is not one that the ancestors
// introduce for the issuer, and with ErrFull. Credentials that waited for c and
// turn out to be such are dropped.
func (g *Graph) Add(c *Credential) ([]*Credential, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.checkBelongs(c); err != nil {
		return nil, fmt.Errorf("add %v: %w", c, err)
	}
	if g.has(c.ID) || g.pending[c.ID] != nil {
		return nil, nil
	}
	if len(g.missingParents(c)) > 0 {
		if len(g.pending) >= MaxPending {
			return nil, fmt.Errorf("add %v: %d wait already: %w", c, len(g.pending), ErrFull)
		}
		g.pending[c.ID] = c
		return nil, nil
	}
	if err := g.insert(c); err != nil {
		return nil, fmt.Errorf("add %v: %w", c, err)
	}
	return append([]*Credential{c}, g.release()...), nil
}

// release inserts the pending credentials whose parents have come.
func (g *Graph) release() (added []*Credential) {
	for again := true; again; {
		again = false
		for id, c := range g.pending {
			if len(g.missingParents(c)) > 0 {
				continue
			}
			delete(g.pending, id)
			if g.insert(c) == nil {
				added, again = append(added, c), true
			}
		}
	}
	return added
}

func (g *Graph) has(id CredentialID) bool { _, ok := g.index[id]; return ok }

func (g *Graph) missingParents(c *Credential) (missing []CredentialID) {
	for _, p := range c.Parents {
		if !g.has(p) {
			missing = append(missing, p)
		}
	}
	return missing
}

// checkBelongs refuses what no ancestor could make part of this graph.
func (g *Graph) checkBelongs(c *Credential) error {
	switch {
	case g.space.IsZero() && c.DAG != g.identity,
		!g.space.IsZero() && !c.Type.ofIdentity() && c.DAG != g.space:
		return ErrForeign
	}
	return nil
}

// insert adds c, all of whose parents are there.
func (g *Graph) insert(c *Credential) error {
	if len(g.nodes) >= MaxCredentials {
		return fmt.Errorf("%d credentials: %w", len(g.nodes), ErrFull)
	}
	n := &node{Credential: c, ancestors: g.closure(c.Parents)}
	n.depth = n.ancestors.count()
	if err := g.checkPlace(n); err != nil {
		return err
	}
	if err := g.checkIssuer(n); err != nil {
		return err
	}
	at := len(g.nodes)
	g.judge(n, at)
	g.nodes = append(g.nodes, n)
	g.index[c.ID] = at
	for _, p := range c.Parents {
		delete(g.heads, p)
	}
	g.heads[c.ID] = struct{}{}
	g.introduce(at, c)
	return nil
}

// judge decides what n counts for by its ancestors: once and for ever.
func (g *Graph) judge(n *node, at int) {
	view := g.stateOf(n.Parents, n.ancestors)
	n.granted = view.allows(n.Credential) == nil
	n.voided, n.need = view.resolution.voided, view.needOf(n.Credential)
	if n.granted {
		n.act = g.actOf(n, view)
	}
	if n.act != nil {
		g.acts = append(g.acts, at)
	}
	if !n.ByRoot {
		g.signed[n.Device] = append(g.signed[n.Device], at)
	}
	if n.Type.ofIdentity() {
		g.ofIdentity[IdentityID(n.DAG)] = append(g.ofIdentity[IdentityID(n.DAG)], at)
	} else {
		g.issued[n.Issuer] = append(g.issued[n.Issuer], at)
	}
	if link, ok := n.byLink(); ok {
		g.claims[link] = append(g.claims[link], at)
	}
}

// checkPlace refuses parents that do not fit: those of an identity credential
// are of the same identity, and a space credential descends from the genesis.
func (g *Graph) checkPlace(n *node) error {
	if n.Type.ofIdentity() {
		for _, p := range n.Parents {
			if parent := g.nodes[g.index[p]]; !parent.Type.ofIdentity() || parent.DAG != n.DAG {
				return fmt.Errorf("parent %s: %w", p.Short(), ErrForeign)
			}
		}
		if !n.ByRoot && n.Issuer != n.DAG {
			return fmt.Errorf("issuer %s: %w", n.Issuer.Short(), ErrForeign)
		}
		return nil
	}
	if genesis, ok := g.index[CredentialID(g.space)]; n.Type != TypeSpaceGenesis && (!ok || !n.ancestors.has(genesis)) {
		return fmt.Errorf("no descendant of the genesis: %w", ErrForeign)
	}
	if n.ByRoot {
		return fmt.Errorf("issued by a root key: %w", ErrForeign)
	}
	return nil
}

// checkIssuer refuses a credential whose signature is not by a key that its
// ancestors introduce for its issuer. Device ids commit to the keys, so it does
// not matter whether the introduction itself had authority.
func (g *Graph) checkIssuer(n *node) error {
	if n.Type == TypeIDGenesis {
		return nil // names its own keys
	}
	known, key := g.devices[n.Device], n.key(SigIssuer)
	if n.ByRoot {
		known, key = g.roots[IdentityID(n.DAG)], n.key(SigRoot)
	}
	for _, in := range known {
		if in.key == key && n.ancestors.has(in.node) {
			return nil
		}
	}
	return fmt.Errorf("signed by a key that its ancestors do not know: %w", ErrBadSignature)
}

// introduce notes the keys that c names.
func (g *Graph) introduce(at int, c *Credential) {
	device := func(p DevicePublic) {
		id := p.ID()
		g.devices[id] = append(g.devices[id], introduction{at, p.Sign})
	}
	identity := IdentityID(c.DAG)
	switch p := c.Payload.(type) {
	case *IDGenesis:
		device(p.Device)
		g.roots[identity] = append(g.roots[identity], introduction{at, p.RootSign})
	case *DeviceAdd:
		device(p.Device)
	case *IDCheckpoint:
		for _, d := range p.Devices {
			device(d.Device)
		}
	case *RootRotate:
		g.roots[identity] = append(g.roots[identity], introduction{at, p.RootSign})
	}
}

// closure returns the credentials ids, which are in the graph, and all their
// ancestors.
func (g *Graph) closure(ids []CredentialID) bitset {
	set := newBitset(len(g.nodes))
	for _, id := range ids {
		at := g.index[id]
		set.addAll(g.nodes[at].ancestors)
		set.add(at)
	}
	return set
}

// Contains reports whether id is in the graph; pending ones are not.
func (g *Graph) Contains(id CredentialID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.has(id)
}

// Get returns a credential of the graph.
func (g *Graph) Get(id CredentialID) (*Credential, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.index[id]
	if !ok {
		return nil, false
	}
	return g.nodes[at].Credential, true
}

// Granted reports whether the author of a credential of the graph had the
// authority for it, by the ancestors of the credential.
func (g *Graph) Granted(id CredentialID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.index[id]
	return ok && g.nodes[at].granted
}

// Len returns the number of credentials, without pending ones.
func (g *Graph) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.nodes)
}

// All returns the credentials, parents before children.
func (g *Graph) All() []*Credential {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*Credential, len(g.nodes))
	for i, n := range g.nodes {
		out[i] = n.Credential
	}
	return out
}

// Identity returns the credentials of one identity, parents before children.
func (g *Graph) Identity(id IdentityID) []*Credential {
	return slices.DeleteFunc(g.All(), func(c *Credential) bool { return !c.Type.ofIdentity() || c.DAG != id })
}

// Heads returns the credentials that are no parent of another, sorted. There
// may be more than MaxParents: see AuthHeads.
func (g *Graph) Heads() []CredentialID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sortedHeads()
}

func (g *Graph) sortedHeads() []CredentialID {
	out := make([]CredentialID, 0, len(g.heads))
	for id := range g.heads {
		out = append(out, id)
	}
	slices.SortFunc(out, CredentialID.Compare)
	return out
}

// IdentityHeads returns the heads among the credentials of one identity, at
// most MaxParents, sorted.
func (g *Graph) IdentityHeads(id IdentityID) []CredentialID {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine, covered := newBitset(len(g.nodes)), newBitset(len(g.nodes))
	for at, n := range g.nodes {
		if n.Type.ofIdentity() && n.DAG == id {
			mine.add(at)
			covered.addAll(n.ancestors)
		}
	}
	var out []CredentialID
	for at := range g.nodes {
		if mine.has(at) && !covered.has(at) {
			out = append(out, g.nodes[at].ID)
		}
	}
	slices.SortFunc(out, CredentialID.Compare)
	return out[:min(len(out), MaxParents)]
}

// AuthHeads returns at most MaxParents heads, sorted: what a credential or an
// entry of the issuer names as known. Where there are more, heads of the space
// come first, then those of the issuer, then those of other identities: what
// does not fit stays a head, and the next credential takes it up.
func (g *Graph) AuthHeads(issuer IdentityID) []CredentialID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authHeads(issuer)
}

// authHeads returns AuthHeads, the identities in their order before others.
func (g *Graph) authHeads(first ...IdentityID) []CredentialID {
	heads := g.sortedHeads()
	if len(heads) <= MaxParents {
		return heads
	}
	class := func(id CredentialID) int {
		n := g.nodes[g.index[id]]
		if !n.Type.ofIdentity() {
			return -1
		}
		if i := slices.Index(first, IdentityID(n.DAG)); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(heads, func(a, b CredentialID) int { return class(a) - class(b) })
	heads = heads[:MaxParents]
	slices.SortFunc(heads, CredentialID.Compare)
	return heads
}

// parentsFor returns what a credential of the issuer names as known, with the
// identity it speaks of before others.
func (g *Graph) parentsFor(issuer IdentityID, p Payload) []CredentialID {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := []IdentityID{issuer}
	switch p := p.(type) {
	case *MemberSet:
		first = append(first, p.Identity)
	case *MemberRemove:
		first = append(first, p.Identity)
	case *FeedSeal:
		first = append(first, p.Identity)
	case *KeyGrant:
		for _, in := range g.devices[p.Key.Device] {
			first = append(first, IdentityID(g.nodes[in.node].DAG))
		}
	}
	return g.authHeads(first...)
}

// Missing returns the unknown parents that pending credentials wait for,
// sorted: what to ask a peer for.
func (g *Graph) Missing() []CredentialID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []CredentialID
	for _, c := range g.pending {
		for _, p := range g.missingParents(c) {
			if g.pending[p] == nil {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, CredentialID.Compare)
	return slices.Compact(out)
}

// Pending returns the number of credentials that wait for parents.
func (g *Graph) Pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending)
}

// DropPending forgets the waiting credentials for which drop returns true.
func (g *Graph) DropPending(drop func(*Credential) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, c := range g.pending {
		if drop(c) {
			delete(g.pending, id)
		}
	}
}

// Covers reports whether whoever knew newer also knew older: every one of older
// is in newer or an ancestor of it. It fails with ErrUnknown for ids that are
// not in the graph.
func (g *Graph) Covers(newer, older []CredentialID) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.known(append(slices.Clone(newer), older...)); err != nil {
		return false, err
	}
	set := g.closure(newer)
	return !slices.ContainsFunc(older, func(id CredentialID) bool { return !set.has(g.index[id]) }), nil
}

// Lacking returns the credentials that are not among heads and their
// ancestors, parents first: what to send to a peer with these heads. Heads that
// are not in the graph are passed over.
func (g *Graph) Lacking(heads []CredentialID) []*Credential {
	g.mu.Lock()
	defer g.mu.Unlock()
	set := g.closure(slices.DeleteFunc(slices.Clone(heads), func(id CredentialID) bool { return !g.has(id) }))
	var out []*Credential
	for at, n := range g.nodes {
		if !set.has(at) {
			out = append(out, n.Credential)
		}
	}
	return out
}

// Ancestors returns a credential and all its ancestors, parents first: what
// proves it to somebody who knows nothing. It fails with ErrUnknown.
func (g *Graph) Ancestors(id CredentialID) ([]*Credential, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.known([]CredentialID{id}); err != nil {
		return nil, err
	}
	set := g.closure([]CredentialID{id})
	var out []*Credential
	for at, n := range g.nodes {
		if set.has(at) {
			out = append(out, n.Credential)
		}
	}
	return out, nil
}

func (g *Graph) known(ids []CredentialID) error {
	for _, id := range ids {
		if !g.has(id) {
			return fmt.Errorf("credential %s: %w", id.Short(), ErrUnknown)
		}
	}
	return nil
}

// State returns what all credentials of the graph together say.
func (g *Graph) State() *State {
	g.mu.Lock()
	defer g.mu.Unlock()
	heads := g.sortedHeads()
	return g.stateOf(heads, g.closure(heads))
}

// StateAt returns what heads and their ancestors say: the state that somebody
// knew who knew these. It fails with ErrUnknown while one of them is not in
// the graph.
func (g *Graph) StateAt(heads []CredentialID) (*State, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stateAt(heads)
}

func (g *Graph) stateAt(heads []CredentialID) (*State, error) {
	if err := g.known(heads); err != nil {
		return nil, err
	}
	heads = slices.Clone(heads)
	slices.SortFunc(heads, CredentialID.Compare)
	return g.stateOf(slices.Compact(heads), g.closure(heads)), nil
}

// stateOf resolves and folds a closed set, remembered by its sorted heads.
func (g *Graph) stateOf(heads []CredentialID, set bitset) *State {
	key := headsKey(heads)
	if s, ok := g.memo[key]; ok {
		return s
	}
	s := g.extended(heads)
	if s == nil {
		s = fold(g, g.resolve(set))
	}
	if len(g.memo) >= memoSize {
		clear(g.memo)
	}
	g.memo[key] = s
	return s
}

func headsKey(heads []CredentialID) string {
	var key bytes.Buffer
	for _, h := range heads {
		key.Write(h[:])
	}
	return key.String()
}
