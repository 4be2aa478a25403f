// The peer `go-memdb` of the bench `state`: the same rows, indexes and operations in hashicorp/go-memdb, which has
// transactions, change tracking and snapshots. It is driven over stdin and stdout by state/memdb.rs, a line each, and
// measures itself, so that no pipe is in its figures.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	memdb "github.com/hashicorp/go-memdb"
)

type uuid [16]byte

type instance struct {
	id, tenant, host     uuid
	name, state          string
	vcpu                 int64
	rcpu                 float64
	mem                  int64
	ns, profile, boot    string
	userData             *string
	priority             int64
	status               string
	isHost               uuid
	err                  *string
	attempts             int64
	nextRetry            *int64
	console              string
}

type volume struct {
	id, pool     uuid
	name, format string
	size         int64
}

type vdisk struct {
	id, instance, volume uuid
	index                int64
}

type vnic struct {
	id, instance, swtch uuid
	mac                 [6]byte
	index               int64
}

type placement struct {
	host, instance uuid
	serial         int64
	released       bool
	status         string
	attempts       int64
	err            *string
}

// by indexes objects by one or more UUIDs; two of the same row are those of its two parts.
type by struct{ of func(interface{}) []uuid }

func (b by) FromArgs(args ...interface{}) ([]byte, error) {
	id := args[0].(uuid)
	return id[:], nil
}

func (b by) FromObject(o interface{}) (bool, [][]byte, error) {
	ids := b.of(o)
	keys := make([][]byte, 0, len(ids))
	for i := range ids {
		if i == 0 || ids[i] != ids[0] {
			keys = append(keys, ids[i][:])
		}
	}
	return true, keys, nil
}

// one is the same for a single UUID; the primary key may consist of several.
type one struct{ of func(interface{}) []byte }

func (b one) FromArgs(args ...interface{}) ([]byte, error) {
	id := args[0].(uuid)
	return id[:], nil
}

func (b one) FromObject(o interface{}) (bool, []byte, error) { return true, b.of(o), nil }

func table(name string, id func(interface{}) []byte, indexes map[string]memdb.Indexer) *memdb.TableSchema {
	all := map[string]*memdb.IndexSchema{"id": {Name: "id", Unique: true, Indexer: one{id}}}
	for name, indexer := range indexes {
		all[name] = &memdb.IndexSchema{Name: name, Indexer: indexer}
	}
	return &memdb.TableSchema{Name: name, Indexes: all}
}

func schema() *memdb.DBSchema {
	single := func(of func(interface{}) uuid) memdb.Indexer {
		return one{func(o interface{}) []byte { id := of(o); return id[:] }}
	}
	tables := []*memdb.TableSchema{
		table("instance", func(o interface{}) []byte { return o.(*instance).id[:] }, map[string]memdb.Indexer{
			"tenant": single(func(o interface{}) uuid { return o.(*instance).tenant }),
			"host":   by{func(o interface{}) []uuid { i := o.(*instance); return []uuid{i.host, i.isHost} }},
		}),
		table("volume", func(o interface{}) []byte { return o.(*volume).id[:] }, map[string]memdb.Indexer{
			"pool": single(func(o interface{}) uuid { return o.(*volume).pool }),
		}),
		table("vdisk", func(o interface{}) []byte { return o.(*vdisk).id[:] }, map[string]memdb.Indexer{
			"instance": single(func(o interface{}) uuid { return o.(*vdisk).instance }),
			"volume":   single(func(o interface{}) uuid { return o.(*vdisk).volume }),
		}),
		table("vnic", func(o interface{}) []byte { return o.(*vnic).id[:] }, map[string]memdb.Indexer{
			"instance": single(func(o interface{}) uuid { return o.(*vnic).instance }),
			"switch":   single(func(o interface{}) uuid { return o.(*vnic).swtch }),
		}),
		table("host_instance", func(o interface{}) []byte {
			p := o.(*placement)
			return append(append(make([]byte, 0, 32), p.host[:]...), p.instance[:]...)
		}, map[string]memdb.Indexer{
			"host":     single(func(o interface{}) uuid { return o.(*placement).host }),
			"instance": single(func(o interface{}) uuid { return o.(*placement).instance }),
		}),
	}
	all := map[string]*memdb.TableSchema{}
	for _, table := range tables {
		all[table.Name] = table
	}
	return &memdb.DBSchema{Tables: all}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "memdb:", err)
		os.Exit(1)
	}
}

type row struct {
	table string
	value interface{}
}

// read reads the rows as state/memdb.rs writes them.
func read(path string) []row {
	file, err := os.Open(path)
	must(err)
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	id := func() (u uuid) { _, err := io.ReadFull(in, u[:]); must(err); return }
	number := func() int64 { var n int64; must(binary.Read(in, binary.LittleEndian, &n)); return n }
	text := func() string { b := make([]byte, number()); _, err := io.ReadFull(in, b); must(err); return string(b) }
	count := number()
	rows := make([]row, 0, count*8)
	for ; count > 0; count-- {
		i := &instance{id: id(), tenant: id(), host: id(), name: text(), state: "running", vcpu: number(), rcpu: 1,
			mem: number(), ns: "192.168.0.1", profile: "1", boot: "disk", priority: number(), status: "running",
			isHost: id(), attempts: number(), console: "/dev/pts/7"}
		rows = append(rows, row{"instance", i})
		for n := int64(0); n < 2; n++ {
			v := &volume{id: id(), pool: id(), name: text(), format: "qcow2", size: number()}
			rows = append(rows, row{"volume", v}, row{"vdisk", &vdisk{id: id(), instance: i.id, volume: v.id, index: n}})
			rows = append(rows, row{"vnic", &vnic{id: id(), instance: i.id, swtch: id(), index: n}})
		}
		rows = append(rows, row{"host_instance", &placement{host: i.host, instance: i.id, serial: number(), status: "running"}})
	}
	return rows
}

func load(rows []row) *memdb.MemDB {
	db, err := memdb.NewMemDB(schema())
	must(err)
	txn := db.Txn(true)
	for _, row := range rows {
		must(txn.Insert(row.table, row.value))
	}
	txn.Commit()
	return db
}

func mem(o interface{}) int64 { return o.(*instance).mem }

func sum(it memdb.ResultIterator, err error, of func(interface{}) int64) (sum int64) {
	must(err)
	for o := it.Next(); o != nil; o = it.Next() {
		sum += of(o)
	}
	return
}

func scan(txn *memdb.Txn) int64 {
	it, err := txn.Get("instance", "id")
	return sum(it, err, mem)
}

func first(txn *memdb.Txn, table string, id uuid) interface{} {
	o, err := txn.First(table, "id", id)
	must(err)
	return o
}

func volumesOf(txn *memdb.Txn, id uuid) int64 {
	it, err := txn.Get("vdisk", "instance", id)
	return sum(it, err, func(o interface{}) int64 {
		return first(txn, "volume", o.(*vdisk).volume).(*volume).size
	})
}

func update(db *memdb.MemDB, events chan memdb.Changes, id, host uuid) int64 {
	txn := db.Txn(true)
	txn.TrackChanges()
	moved := *first(txn, "instance", id).(*instance)
	moved.isHost = host
	must(txn.Insert("instance", &moved))
	changes := txn.Changes()
	txn.Commit()
	events <- changes
	<-events
	return moved.attempts
}

func ids(words []string) []uuid {
	all := make([]uuid, len(words))
	for i, word := range words {
		b, err := hex.DecodeString(word)
		must(err)
		copy(all[i][:], b)
	}
	return all
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sort.Float64s(all)
	return all[(len(all)-1)/2]
}

// beside scans snapshots one after the other while another goroutine updates. Says what a scan and an update took.
func beside(db *memdb.MemDB, events chan memdb.Changes, keys []uuid, scans int) (float64, float64) {
	var stop atomic.Bool
	done := make(chan []float64)
	go func() {
		var took []float64
		for !stop.Load() {
			start := time.Now()
			for i := 0; i < len(keys); i += 2 {
				update(db, events, keys[i], keys[i+1])
			}
			took = append(took, float64(time.Since(start).Nanoseconds())/float64(len(keys)/2))
		}
		done <- took
	}()
	var took []float64
	for i := 0; i < scans; i++ {
		start := time.Now()
		scan(db.Snapshot().Txn(false))
		took = append(took, float64(time.Since(start).Nanoseconds()))
	}
	stop.Store(true)
	return median(took), median(<-done)
}

func main() {
	rows := read(os.Args[1])
	var db *memdb.MemDB
	events := make(chan memdb.Changes, 1)
	in := bufio.NewReaderSize(os.Stdin, 1<<24)
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return
		}
		must(err)
		words := strings.Fields(line)
		keys := []uuid{}
		if words[0] != "beside" {
			keys = ids(words[1:])
		}
		var result int64
		start := time.Now()
		switch words[0] {
		case "load":
			db = load(rows)
			result = scan(db.Txn(false))
		case "get":
			txn := db.Txn(false)
			for _, key := range keys {
				result += mem(first(txn, "instance", key))
			}
		case "of_tenant", "on_host":
			txn := db.Txn(false)
			index := map[string]string{"of_tenant": "tenant", "on_host": "host"}[words[0]]
			for _, key := range keys {
				it, err := txn.Get("instance", index, key)
				result += sum(it, err, mem)
			}
		case "volumes_of":
			txn := db.Txn(false)
			for _, key := range keys {
				result += volumesOf(txn, key)
			}
		case "scan":
			result = scan(db.Txn(false))
		case "update":
			for i := 0; i < len(keys); i += 2 {
				result += update(db, events, keys[i], keys[i+1])
			}
		case "beside":
			var scans int
			_, err := fmt.Sscan(words[1], &scans)
			must(err)
			scanNs, updateNs := beside(db, events, ids(words[2:]), scans)
			fmt.Printf("%f %f\n", scanNs, updateNs)
			continue
		case "settle":
			debug.FreeOSMemory()
		}
		elapsed := time.Since(start)
		fmt.Printf("%d %d\n", result, elapsed.Nanoseconds())
	}
}
