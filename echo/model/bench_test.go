package model_test

import (
	"fmt"
	"strings"
	"testing"

	"echofs/echo/model"
)

// benchText is an object of about 2 kB.
func benchText() string {
	var b strings.Builder
	b.WriteString("{\n  \"title\": \"A task of some length\",\n  \"done\": false,\n  \"people\": [\n")
	for i := range 20 {
		fmt.Fprintf(&b, "    {\"id\": %d, \"name\": \"person %d\", \"mail\": \"p%d@example.com\", \"score\": %d.5},\n", i, i, i, i)
	}
	b.WriteString("    {\"id\": 99}\n  ],\n  \"notes\": \"" + strings.Repeat("some words of text ", 20) + "\"\n}\n")
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	text := []byte(benchText())
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := model.Parse(text, model.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	base := adopted(b, benchText())
	next := mustParse(b, changedBenchText())
	b.ReportAllocs()
	for b.Loop() {
		if got := len(model.Diff(base, next, model.DiffOptions{})); got != 3 {
			b.Fatalf("%d edits", got)
		}
	}
}

func changedBenchText() string {
	r := strings.NewReplacer("false", "true", "person 7\"", "person seven\"", "text \"\n", "text\"\n")
	return r.Replace(benchText())
}

func BenchmarkPatch(b *testing.B) {
	text := []byte(benchText())
	old, next := adopted(b, benchText()), adopted(b, changedBenchText())
	b.ReportAllocs()
	for b.Loop() {
		model.Patch(text, old, next, model.RenderOptions{})
	}
}

func BenchmarkRender(b *testing.B) {
	v := mustParse(b, benchText())
	b.ReportAllocs()
	for b.Loop() {
		model.Render(v, model.RenderOptions{})
	}
}

func BenchmarkDiffTextOneLetter(b *testing.B) {
	base := strings.Repeat("a", 1<<20)
	next := base[:1<<19] + "b" + base[1<<19:]
	b.ReportAllocs()
	for b.Loop() {
		model.DiffText(base, next, nil)
	}
}

func BenchmarkDiffTextProse(b *testing.B) {
	base := manyLines(2500)
	next := strings.NewReplacer("line 100 ", "line one hundred ", "line 2000 of", "").Replace(base)
	b.ReportAllocs()
	for b.Loop() {
		model.DiffText(base, next, nil)
	}
}

func BenchmarkDiffLargeList(b *testing.B) {
	base := adopted(b, "["+strings.TrimSuffix(strings.Repeat(`{"a":1,"b":"x"},`, 20_000), ",")+"]")
	next := mustParse(b, `[{"c":1},`+strings.TrimSuffix(strings.Repeat(`{"a":1,"b":"x"},`, 20_000), ",")+"]")
	b.ReportAllocs()
	for b.Loop() {
		model.Diff(base, next, model.DiffOptions{})
	}
}
