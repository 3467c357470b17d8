package echotest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/blob"
	"echofs/echo/engine"
	"echofs/halo"
)

// Main runs the tests of a package that uses vaults: the test program is its
// own engine worker. Call it from TestMain.
func Main(m *testing.M) int {
	if engine.IsWorker() {
		if err := engine.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	limitCases()
	code := m.Run()
	if shared.engine != nil {
		shared.engine.Close()
	}
	return code
}

// quickCases is how many cases a property test draws. A case here makes vaults
// and lets them talk, which takes a hundred times as long as a pure function.
const quickCases = "15"

// limitCases makes property tests quick, unless ECHOFS_SOAK is set or somebody
// asked for a number of cases.
func limitCases() {
	const name = "rapid.checks"
	if !flag.Parsed() {
		flag.Parse()
	}
	asked := os.Getenv("ECHOFS_SOAK") != ""
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == name })
	if f := flag.Lookup(name); f != nil && !asked {
		_ = f.Value.Set(quickCases) // a number, which the flag takes
	}
}

// shared is one engine for all vaults of a test program.
var shared struct {
	once   sync.Once
	engine *engine.Engine
	err    error
}

// Engine returns the engine that the vaults of the test program share.
func Engine(tb testing.TB) echo.Engine {
	tb.Helper()
	shared.once.Do(func() { shared.engine, shared.err = engine.New(engine.Options{}) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.engine
}

// Keys are an echo.Keys in memory.
type Keys struct {
	device *halo.DeviceKeys

	mu     sync.Mutex // guards epochs
	epochs map[echo.SpaceID][]halo.EpochKey
}

var _ echo.Keys = (*Keys)(nil)

// NewKeys returns the keys of a new device.
func NewKeys() (*Keys, error) {
	device, err := halo.GenerateDeviceKeys()
	return &Keys{device: device, epochs: make(map[echo.SpaceID][]halo.EpochKey)}, err
}

// Device implements echo.Keys.
func (k *Keys) Device() *halo.DeviceKeys { return k.device }

// EpochKeys implements echo.Keys.
func (k *Keys) EpochKeys(space echo.SpaceID) []halo.EpochKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.epochs[space])
}

// AddEpochKey implements echo.Keys.
func (k *Keys) AddEpochKey(space echo.SpaceID, key halo.EpochKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, have := range k.epochs[space] {
		if have.Equal(key.Secret) {
			return nil
		}
	}
	k.epochs[space] = append(k.epochs[space], key)
	return nil
}

// NewIdentity returns the credentials of a new identity with one device, whose
// keys are given.
func NewIdentity(device *halo.DeviceKeys) ([][]byte, error) {
	phrase, _, err := halo.NewPhrase()
	if err != nil {
		return nil, err
	}
	root, err := halo.RootKeysFromPhrase(phrase, "")
	if err != nil {
		return nil, err
	}
	genesis, err := halo.NewIdentity(root, device, time.Now())
	if err != nil {
		return nil, err
	}
	return [][]byte{genesis.Bytes()}, nil
}

// Vault is a vault in memory with what it needs to be opened again.
type Vault struct {
	*echo.Repo
	Opts echo.Options
	tb   testing.TB
}

// NewVault returns a vault of a new identity of that name, which is closed
// with the test. Zero members of opts are filled in; delays are a few
// milliseconds unless they are set.
func NewVault(tb testing.TB, name string, opts echo.Options) *Vault {
	tb.Helper()
	if opts.Store == nil {
		opts.Store = NewMemStore()
	}
	if opts.Engine == nil {
		opts.Engine = Engine(tb)
	}
	if opts.Keys == nil {
		keys, err := NewKeys()
		if err != nil {
			tb.Fatal(err)
		}
		opts.Keys = keys
	}
	if opts.Identity == nil {
		var err error
		if opts.Identity, err = NewIdentity(opts.Keys.Device()); err != nil {
			tb.Fatal(err)
		}
	}
	if opts.Chunks == nil {
		opts.Chunks = memChunks()
	}
	if opts.SettleDelay == 0 {
		opts.SettleDelay = 5 * time.Millisecond
	}
	if opts.RemoveGrace == 0 {
		opts.RemoveGrace = 20 * time.Millisecond
	}
	if opts.NameKey.IsZero() { // as in a vault on disk
		var err error
		if opts.NameKey, err = halo.NewSecret(bytes.Repeat([]byte{7}, 32)); err != nil {
			tb.Fatal(err)
		}
	}
	opts.IdentityName, opts.DeviceName = name, name+"-device"
	v := &Vault{Opts: opts, tb: tb}
	v.Open()
	tb.Cleanup(func() {
		if err := v.Close(); err != nil {
			tb.Errorf("close vault %s: %v", name, err)
		}
	})
	return v
}

// Open opens the vault, again after Close.
func (v *Vault) Open() {
	v.tb.Helper()
	repo, err := echo.Open(context.Background(), v.Opts)
	if err != nil {
		v.tb.Fatal(err)
	}
	v.Repo = repo
}

// Invite makes guest a member of one of the vault's spaces and returns the
// space as the guest sees it.
func (v *Vault) Invite(space *echo.Space, guest *Vault, role halo.Role) *echo.Space {
	v.tb.Helper()
	ctx := context.Background()
	if err := space.Admit(ctx, guest.IdentityCredentials(), guest.DeviceID(), role); err != nil {
		v.tb.Fatal(err)
	}
	creds, err := space.Credentials()
	if err != nil {
		v.tb.Fatal(err)
	}
	name := space.Name()
	if role == halo.RoleRelay {
		name = "" // it is not told
	}
	joined, err := guest.Join(ctx, echo.Admission{Space: space.ID(), Credentials: creds, Name: name})
	if err != nil {
		v.tb.Fatal(err)
	}
	Exchange(v.tb, space, joined)
	return joined
}

// Exchange brings two vaults' views of a space to the same state: credentials
// first, then entries, in both directions.
func Exchange(tb testing.TB, a, b *echo.Space) {
	tb.Helper()
	Send(tb, a, b)
	Send(tb, b, a)
	Send(tb, a, b)
}

// sendBytes is how many bytes of entries Send hands over at once.
const sendBytes = 64 << 10

// Send gives b what a has.
func Send(tb testing.TB, a, b *echo.Space) {
	tb.Helper()
	ctx := context.Background()
	creds, err := a.Credentials()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := b.AddCredentials(ctx, creds); err != nil {
		tb.Fatal(err)
	}
	have, err := a.Vector()
	if err != nil {
		tb.Fatal(err)
	}
	held, err := b.Vector()
	if err != nil {
		tb.Fatal(err)
	}
	for feed, pos := range have {
		for next := held[feed].Next; next < pos.Next; {
			entries, err := a.Entries(feed, next, sendBytes)
			if err != nil {
				tb.Fatal(err)
			}
			if next, err = b.Ingest(ctx, feed, next, entries); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// memChunks keeps the chunks of each space in memory, also while the vault is
// closed.
func memChunks() func(echo.SpaceID) (blob.Store, error) {
	var mu sync.Mutex
	stores := map[echo.SpaceID]blob.Store{}
	return func(id echo.SpaceID) (blob.Store, error) {
		mu.Lock()
		defer mu.Unlock()
		if stores[id] == nil {
			stores[id] = blob.NewMem()
		}
		return stores[id], nil
	}
}

// SendChunks gives b the chunks that it wants and a has.
func SendChunks(tb testing.TB, a, b *echo.Space) {
	tb.Helper()
	const many = 64
	none := map[[32]byte]bool{}
	for {
		list := b.WantedChunks(many, func(x [32]byte) bool { return none[x] })
		if len(list) == 0 {
			return
		}
		for _, x := range list {
			sealed, err := a.Chunk(context.Background(), x)
			if errors.Is(err, blob.ErrMissing) {
				none[x] = true
				continue
			}
			if err == nil {
				err = b.PutChunk(x, sealed)
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
	}
}
