package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
	"echofs/pebble"
)

// newPebbleVault returns a vault whose store is on the disk.
func newPebbleVault(b *testing.B, name string) *echotest.Vault {
	b.Helper()
	db, err := pebble.Open(filepath.Join(b.TempDir(), name), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return echotest.NewVault(b, name, echo.Options{Store: db, SettleDelay: time.Hour})
}

// fill makes objects of about a kilobyte.
func fill(b *testing.B, v *echotest.Vault, dir echo.Ino, count int) {
	b.Helper()
	ctx := context.Background()
	notes := strings.Repeat("lorem ipsum dolor sit amet consectetur ", 20)
	for n := range count {
		f, err := v.CreateFile(ctx, dir, fileName(n), 0)
		if err != nil {
			b.Fatal(err)
		}
		text := fmt.Sprintf("{\n  \"title\": \"task number %d\",\n  \"count\": %d,\n  \"done\": false,\n  \"notes\": %q\n}\n", n, n, notes)
		if _, err := v.Save(ctx, echo.Save{Ino: f.Ino, Data: []byte(text)}); err != nil {
			b.Fatal(err)
		}
	}
}

// usedTime is the processor time that this process has used.
func usedTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFirstSync measures, for each object, what a joiner needs for the
// entries of a space, without the network.
func BenchmarkFirstSync(b *testing.B) {
	ctx := context.Background()
	ada := newPebbleVault(b, "ada")
	s, err := ada.CreateSpace(ctx, spaceName)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, ada, s.Ino(), b.N)
	if err := ada.Close(); err != nil { // all objects become documents
		b.Fatal(err)
	}
	ada.Open()
	if s, err = ada.FindSpace(spaceName); err != nil {
		b.Fatal(err)
	}
	bob := newPebbleVault(b, "bob")
	b.ResetTimer()
	used := usedTime(b)
	joined := ada.Invite(s, bob, halo.RoleEditor)
	b.StopTimer()
	b.ReportMetric(float64(usedTime(b)-used)/float64(b.N), "cpu-ns/op")
	have, err := s.Vector()
	if err != nil {
		b.Fatal(err)
	}
	if got, err := joined.Vector(); err != nil || len(got) < len(have) {
		b.Fatalf("the joiner has %v, %v, want %v", got, err, have)
	}
}

// BenchmarkNewObject measures what an object costs in all, until it is a
// document that replicates, without the mount.
func BenchmarkNewObject(b *testing.B) {
	ada := newPebbleVault(b, "ada")
	s, err := ada.CreateSpace(context.Background(), spaceName)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	fill(b, ada, s.Ino(), b.N)
	if err := ada.Close(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	ada.Open()
}
