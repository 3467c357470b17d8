package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
	"echofs/sync/rtc"
	"echofs/sync/session"
	"echofs/sync/signal"
)

// chunkOfBulk is what is written at a time: what sessions write.
const chunkOfBulk = 32 << 10

// far is the other end of a bare connection, in a process of its own: it takes
// an offer from in, writes the answer to out, reads the bulk channel, and sends
// back what comes on the control channel.
func far(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	api, err := rtc.New(rtc.Options{})
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	var offer string
	text, err := lines.ReadBytes('\n')
	if err := errors.Join(err, json.Unmarshal(text, &offer)); err != nil {
		return err
	}
	at, answer, err := api.Answer(ctx, offer)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return err
	}
	conn, err := at.Wait(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() { _ = bounce(conn.Channel(session.Control)) }()
	go func() { _ = drain(conn) }()
	_, err = lines.ReadByte() // until it is closed
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// bounce sends back what comes, until the channel ends.
func bounce(ch session.Channel) error {
	buf := make([]byte, session.MaxFrame)
	for {
		n, err := ch.Read(buf)
		if err == nil {
			_, err = ch.Write(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// drain reads the bulk channel, and answers on the channel of chunks each message
// that is no full one.
func drain(conn *rtc.Conn) error {
	buf := make([]byte, session.MaxFrame)
	for {
		n, err := conn.Channel(session.Bulk).Read(buf)
		if err == nil && n < chunkOfBulk {
			_, err = conn.Channel(session.Chunks).Write(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// bareLink measures a bare connection with the settings of all of them, between
// two processes.
func (c *conductor) bareLink(ctx context.Context, size meshSize) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	other, err := start(os.Environ(), self, "far")
	if err != nil {
		return err
	}
	defer func() { _ = other.stop() }()
	conn, err := dialFar(ctx, other)
	if err != nil {
		return err
	}
	defer conn.Close()
	pings, err := pingPong(conn.Channel(session.Control), 500)
	if err != nil {
		return err
	}
	took, err := pump(conn, size.bulk)
	if err != nil {
		return err
	}
	c.bareRate = float64(size.bulk) / took.Seconds()
	c.report.fact("bare connection between two processes, 700 bytes there and back", "%v", pings)
	c.report.fact("bare connection between two processes, one way", "%.1f MB/s", c.bareRate/1e6)
	return nil
}

func dialFar(ctx context.Context, other *server) (*rtc.Conn, error) {
	api, err := rtc.New(rtc.Options{})
	if err != nil {
		return nil, err
	}
	at, offer, err := api.Offer(ctx)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(other.in).Encode(offer); err != nil {
		return nil, err
	}
	text, err := other.line()
	if err != nil {
		return nil, err
	}
	var answer string
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	if err := at.Accept(answer); err != nil {
		return nil, err
	}
	return at.Wait(ctx)
}

func pingPong(ch session.Channel, count int) (samples, error) {
	var s samples
	msg, buf := make([]byte, 700), make([]byte, session.MaxFrame)
	for range count {
		begun := time.Now()
		_, err := ch.Write(msg)
		if err == nil {
			_, err = ch.Read(buf)
		}
		if err != nil {
			return nil, err
		}
		s = append(s, time.Since(begun))
	}
	return s, nil
}

// pump sends size bytes and waits until the other end has read them.
func pump(conn *rtc.Conn, size int64) (time.Duration, error) {
	begun := time.Now()
	msg := make([]byte, chunkOfBulk)
	for sent := int64(0); sent < size; sent += chunkOfBulk {
		if _, err := conn.Channel(session.Bulk).Write(msg); err != nil {
			return 0, err
		}
	}
	_, err := conn.Channel(session.Bulk).Write(msg[:1])
	if err == nil {
		_, err = conn.Channel(session.Chunks).Read(msg)
	}
	return time.Since(begun), err
}

// entryBulk measures entries from a vault in memory to another, by the whole
// exchange: what a real vault adds is not the network's.
func (c *conductor) entryBulk(ctx context.Context, size meshSize) error {
	for _, kind := range []struct {
		what string
		each int
	}{{"of 64 KiB", 64 << 10}, {"of 500 bytes", 500}} {
		bytes := size.bulk
		if kind.each < 1<<10 {
			bytes /= 8
		}
		rate, err := entryRate(ctx, bytes, kind.each)
		if err != nil {
			return err
		}
		c.report.fact("entries "+kind.what+" between two vaults in memory, in one process",
			"%.1f MB/s, %.0f %% of a bare connection between two processes", rate/1e6, 100*rate/c.bareRate)
	}
	return nil
}

func entryRate(ctx context.Context, total int64, each int) (rate float64, err error) {
	url, stop, err := rendezvousHere(ctx)
	if err != nil {
		return 0, err
	}
	defer stop()
	owner, err := memrepo.New("ada")
	if err != nil {
		return 0, err
	}
	a, b, err := sharedSpace(ctx, owner)
	if err != nil {
		return 0, err
	}
	count := int(total) / each
	payload := bytes.Repeat([]byte("x"), each)
	for range count {
		a.Write(payload)
	}
	_, stopA, err := online(ctx, owner, url)
	if err != nil {
		return 0, err
	}
	defer stopA()
	_, stopB, err := online(ctx, b.Vault(), url)
	if err != nil {
		return 0, err
	}
	defer stopB()
	var first time.Time
	var before int
	err = until(ctx, func() bool {
		n := b.Count(a.Own())
		if n > 0 && first.IsZero() {
			first, before = time.Now(), n
		}
		return n == count
	})
	return float64(count-before) * float64(each) / time.Since(first).Seconds(), err
}

// until waits, looking every millisecond.
func until(ctx context.Context, ok func() bool) error {
	limit := time.Now().Add(10 * time.Minute)
	for !ok() {
		if ctx.Err() != nil || time.Now().After(limit) {
			return errors.Join(ctx.Err(), errors.New("not in time"))
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// sharedSpace makes a space of a vault and a new one.
func sharedSpace(ctx context.Context, owner *memrepo.Vault) (a, b *memrepo.Space, err error) {
	guest, err := memrepo.New("bob")
	if err != nil {
		return nil, nil, err
	}
	if a, err = owner.CreateSpace("bench"); err != nil {
		return nil, nil, err
	}
	if err := owner.Admit(ctx, a.ID(), guest.IdentityCredentials(), guest.DeviceID(), halo.RoleEditor); err != nil {
		return nil, nil, err
	}
	raw, err := a.Credentials()
	if err != nil {
		return nil, nil, err
	}
	b, err = guest.JoinSpace(a.ID(), "bench", raw)
	return a, b, err
}

// rendezvousHere runs a rendezvous in this process.
func rendezvousHere(ctx context.Context) (url string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	srv := signal.NewServer(signal.ServerOptions{})
	go func() { done <- srv.Serve(ctx, "127.0.0.1:0", func(a net.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		return "ws://" + a.String() + "/", func() { cancel(); <-done }, nil
	case err := <-done:
		cancel()
		return "", nil, err
	}
}

// online runs the network of a vault.
func online(ctx context.Context, v *memrepo.Vault, url ...string) (*echosync.Network, func(), error) {
	n, err := echosync.New(v, echosync.Options{Signal: url})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	return n, func() { cancel(); <-done }, nil
}

// idleCost is what connected peers cost a process.
type idleCost struct {
	Heap, Stack, Resident int64 // bytes
	Goroutines            int
}

// idle connects a vault with as many others as it is told, each by a space of its
// own, all in this process, and writes what the connections cost for one end of
// one of them: after minus before, by the number of ends.
func idle(args []string, out io.Writer) error {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	ctx := context.Background()
	url, stop, err := rendezvousHere(ctx)
	if err != nil {
		return err
	}
	defer stop()
	elsewhere, stopElsewhere, err := rendezvousHere(ctx)
	if err != nil {
		return err
	}
	defer stopElsewhere()
	centre, err := memrepo.New("centre")
	if err != nil {
		return err
	}
	var nets []*echosync.Network
	var spaces []halo.SpaceID
	for range count {
		a, b, err := sharedSpace(ctx, centre)
		if err != nil {
			return err
		}
		n, stop, err := online(ctx, b.Vault(), elsewhere)
		if err != nil {
			return err
		}
		defer stop()
		nets, spaces = append(nets, n), append(spaces, a.ID())
	}
	hub, stopHub, err := online(ctx, centre, url)
	if err != nil {
		return err
	}
	defer stopHub()
	err = until(ctx, func() bool { return hub.SignalConnected() == 1 && !anyUnconnected(nets) })
	before := costNow()
	for _, n := range nets {
		n.AddSignal(url)
	}
	err = errors.Join(err, until(ctx, func() bool {
		for _, id := range spaces {
			if hub.Connected(id) == 0 {
				return false
			}
		}
		return true
	}))
	time.Sleep(3 * time.Second) // what the handshakes left is collected
	after := costNow()
	ends := int64(2 * count)
	return errors.Join(err, json.NewEncoder(out).Encode(idleCost{
		Heap: (after.Heap - before.Heap) / ends, Stack: (after.Stack - before.Stack) / ends,
		Resident: (after.Resident - before.Resident) / ends, Goroutines: (after.Goroutines - before.Goroutines) / int(ends),
	}))
}

func anyUnconnected(nets []*echosync.Network) bool {
	for _, n := range nets {
		if n.SignalConnected() == 0 {
			return true
		}
	}
	return false
}

func costNow() idleCost {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return idleCost{Heap: int64(m.HeapAlloc), Stack: int64(m.StackInuse), Resident: ownBytes(os.Getpid()), Goroutines: runtime.NumGoroutine()}
}

// idlePeers measures few and many idle peers.
func (c *conductor) idlePeers(ctx context.Context, size meshSize) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, count := range []int{2, size.most} {
		out, err := run(ctx, os.Environ(), nil, self, "idle", strconv.Itoa(count))
		if err != nil {
			return err
		}
		var cost idleCost
		if err := json.Unmarshal(out, &cost); err != nil {
			return fmt.Errorf("idle peers: %w", err)
		}
		c.report.fact(fmt.Sprintf("each of %d idle peers", count), "%d KiB of heap, %d KiB of stacks, %d KiB resident, %d goroutines",
			cost.Heap>>10, cost.Stack>>10, cost.Resident>>10, cost.Goroutines)
	}
	return nil
}
