package echo_test

import (
	"context"
	"fmt"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

func BenchmarkSave(b *testing.B) {
	v := echotest.NewVault(b, "ada", echo.Options{})
	if _, err := v.CreateSpace(context.Background(), "notes"); err != nil {
		b.Fatal(err)
	}
	put(b, v, "notes/f.json", `{"title":"Buy milk","count":0,"tags":["a","b"]}`)
	n, _ := v.Resolve("notes/f.json")
	b.ResetTimer()
	for i := range b.N {
		text := fmt.Sprintf(`{"title":"Buy milk","count":%d,"tags":["a","b"]}`, i+1)
		if _, err := v.Save(context.Background(), echo.Save{Ino: n.Ino, Data: []byte(text)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	v := echotest.NewVault(b, "ada", echo.Options{})
	s, err := v.CreateSpace(context.Background(), "notes")
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		n, err := v.CreateFile(context.Background(), s.Ino(), fmt.Sprintf("f%d.json", i), 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Save(context.Background(), echo.Save{Ino: n.Ino, Data: []byte(`{"title":"Buy milk","done":false}`)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIngest(b *testing.B) {
	ada := echotest.NewVault(b, "ada", echo.Options{})
	bob := echotest.NewVault(b, "bob", echo.Options{})
	s, err := ada.CreateSpace(context.Background(), "notes")
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		put(b, ada, fmt.Sprintf("notes/f%d.json", i), `{"title":"Buy milk","done":false}`)
	}
	b.ResetTimer()
	ada.Invite(s, bob, halo.RoleEditor)
}
