package main

import (
	"bytes"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func opRange(request *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: request}}
}

func opGet(key string) *pb.RequestOp { return opRange(&pb.RangeRequest{Key: []byte(key)}) }

func opPut(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value), PrevKv: true}}}
}

func opDelete(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end), PrevKv: true}}}
}

func opTxn(request *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: request}}
}

func ops(all ...*pb.RequestOp) []*pb.RequestOp { return all }

func isAbsent(key string) *pb.Compare {
	return &pb.Compare{Key: []byte(key), Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{}}
}

func checkTxn(c *apiCheck) error {
	if err := c.puts("t/1", "one", "t/2", "two", "t/3", "three"); err != nil {
		return err
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	steps := []struct {
		name    string
		request *pb.TxnRequest
	}{
		{"nothing", &pb.TxnRequest{}},
		{"a read", &pb.TxnRequest{Success: ops(opGet("t/1"))}},
		{"reads and writes in order", &pb.TxnRequest{Success: ops(opGet("t/1"), opPut("t/1", "uno"), opGet("t/1"), opDelete("t/2", ""), opGet("t/2"), opPut("t/4", "four"))}},
		{"the other branch", &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("t/1")}, Success: ops(opPut("t/1", "never")), Failure: ops(opGet("t/1"), opPut("t/5", "five"))}},
		{"nothing in the branch taken", &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("t/1")}, Success: ops(opPut("t/1", "never"))}},
		{"a delete of nothing", &pb.TxnRequest{Success: ops(opDelete("t/9", ""))}},
		{"an empty range read", &pb.TxnRequest{Success: ops(opRange(&pb.RangeRequest{Key: []byte("x"), RangeEnd: []byte("y")}))}},
		{"a delete of a range and puts beside it", &pb.TxnRequest{Success: ops(opDelete("t/3", "t/5"), opPut("t/5", "cinq"), opPut("t/6", "six"))}},
		{"nested", &pb.TxnRequest{
			Compare: []*pb.Compare{isAbsent("t/7")},
			Success: ops(opPut("t/7", "seven"), opTxn(&pb.TxnRequest{
				Compare: []*pb.Compare{isAbsent("t/7")}, Success: ops(opPut("t/8", "was absent")), Failure: ops(opPut("t/8", "was there"), opGet("t/7")),
			}), opGet("t/8")),
		}},
		{"nested three deep", &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opPut("t/deep", "down"))}))}))}))}},
		{"put then delete in nested ones", &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opPut("t/moment", "now"))}), opTxn(&pb.TxnRequest{Success: ops(opDelete("t/moment", ""))}))}},
		{"one key put twice", &pb.TxnRequest{Success: ops(opPut("t/1", "a"), opPut("t/1", "b"))}},
		{"one key put twice in the branch not taken", &pb.TxnRequest{Failure: ops(opPut("t/1", "a"), opPut("t/1", "b"))}},
		{"a key deleted and put", &pb.TxnRequest{Success: ops(opDelete("t/1", ""), opPut("t/1", "b"))}},
		{"a key put and deleted", &pb.TxnRequest{Success: ops(opPut("t/1", "b"), opDelete("t/1", ""))}},
		{"a key put within a range deleted", &pb.TxnRequest{Success: ops(opDelete("t/", "t0"), opPut("t/1", "b"))}},
		{"one key put twice, once nested", &pb.TxnRequest{Success: ops(opPut("t/1", "a"), opTxn(&pb.TxnRequest{Success: ops(opPut("t/1", "b"))}))}},
		{"one key put twice, in two branches of one", &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opPut("t/1", "a")), Failure: ops(opPut("t/1", "b"))}))}},
		{"one key put in two nested ones", &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opPut("t/1", "a"))}), opTxn(&pb.TxnRequest{Success: ops(opPut("t/1", "b"))}))}},
		{"one key deleted twice", &pb.TxnRequest{Success: ops(opDelete("t/1", ""), opDelete("t/1", ""))}},
		{"a put without key", &pb.TxnRequest{Success: ops(opPut("", "b"))}},
		{"a read without key", &pb.TxnRequest{Success: ops(opGet(""))}},
		{"a compare without key", &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("")}}},
		{"an operation without request", &pb.TxnRequest{Success: ops(&pb.RequestOp{})}},
		{"a read of the future", &pb.TxnRequest{Success: ops(opPut("t/1", "not kept"), opRange(&pb.RangeRequest{Key: []byte("t/1"), Revision: 1000}))}},
		{"a read of the past", &pb.TxnRequest{Success: ops(opRange(&pb.RangeRequest{Key: []byte("t/1"), Revision: 3}))}},
		{"a lease that is not there", &pb.TxnRequest{Success: ops(&pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("t/1"), Lease: 5}}})}},
		{"a put of nothing that keeps its value", &pb.TxnRequest{Success: ops(&pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("absent"), IgnoreValue: true}}})}},
		{"an order that does not exist", &pb.TxnRequest{Success: ops(opRange(&pb.RangeRequest{Key: []byte("t"), SortOrder: 7}))}},
		{"too large", &pb.TxnRequest{Success: ops(opPut("t/large1", string(large)), opPut("t/large2", string(large)))}},
	}
	for _, step := range steps {
		c.txnStep(step.name, step.request)
		c.everything(step.name + ": what is there")
	}
	for _, count := range []int{128, 129} {
		var many []*pb.RequestOp
		for number := range count {
			many = append(many, opPut(fmt.Sprintf("m/%03d", number), "v"))
		}
		c.txnStep(fmt.Sprintf("%d operations", count), &pb.TxnRequest{Success: many})
		c.txnStep(fmt.Sprintf("%d operations in the other branch", count), &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("m/000")}, Failure: many})
		c.txnStep(fmt.Sprintf("%d operations, nested", count), &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: many}))})
		compares := make([]*pb.Compare, count)
		for at := range compares {
			compares[at] = isAbsent("absent")
		}
		c.txnStep(fmt.Sprintf("%d comparisons", count), &pb.TxnRequest{Compare: compares})
	}
	return nil
}

// checkCompare asks every target with every result against values below, at and above what is there.
func checkCompare(c *apiCheck) error {
	if _, err := pb.NewLeaseClient(c.conn).LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: 40, TTL: 1000}); err != nil {
		return err
	}
	if err := c.puts("c/1", "m", "c/2", "m", "c/3", "n", "c/1", "m", "c/1", "m"); err != nil {
		return err
	}
	for _, key := range []string{"c/1", "c/4"} {
		if _, err := c.kv.Put(c.ctx, &pb.PutRequest{Key: []byte(key), Value: []byte("m"), Lease: 40}); err != nil {
			return err
		}
	}
	c.everything("what is compared")
	number := func(target pb.Compare_CompareTarget, value int64) pb.Compare {
		switch target {
		case pb.Compare_VERSION:
			return pb.Compare{Target: target, TargetUnion: &pb.Compare_Version{Version: value}}
		case pb.Compare_CREATE:
			return pb.Compare{Target: target, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: value}}
		case pb.Compare_MOD:
			return pb.Compare{Target: target, TargetUnion: &pb.Compare_ModRevision{ModRevision: value}}
		default:
			return pb.Compare{Target: target, TargetUnion: &pb.Compare_Lease{Lease: value}}
		}
	}
	var compares []pb.Compare
	for _, target := range []pb.Compare_CompareTarget{pb.Compare_VERSION, pb.Compare_CREATE, pb.Compare_MOD, pb.Compare_LEASE} {
		for _, value := range []int64{-1, 0, 1, 2, 3, 4, 7, 40, 100} {
			compares = append(compares, number(target, value))
		}
		compares = append(compares, pb.Compare{Target: target})
	}
	for _, value := range []string{"", "l", "m", "mm", "n"} {
		compares = append(compares, pb.Compare{Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(value)}})
	}
	compares = append(compares, pb.Compare{Target: pb.Compare_VALUE}, pb.Compare{Target: 9},
		pb.Compare{Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Version{Version: 4}},
		pb.Compare{Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Value{Value: []byte("m")}})
	places := [][2]string{{"c/1", ""}, {"c/absent", ""}, {"c/", "c0"}, {"c/2", "\x00"}, {"x", "y"}, {"c/2", "c/1"}}
	for _, compare := range compares {
		for result := range int32(len(pb.Compare_CompareResult_name)) {
			for _, place := range places {
				asked := compare
				asked.Result, asked.Key, asked.RangeEnd = pb.Compare_CompareResult(result), []byte(place[0]), []byte(place[1])
				c.txnStep("compare "+asked.String(), &pb.TxnRequest{Compare: []*pb.Compare{&asked}})
			}
		}
	}
	c.txnStep("a result that does not exist", &pb.TxnRequest{Compare: []*pb.Compare{{Result: 9, Key: []byte("c/1"), Target: pb.Compare_VERSION}}})
	c.txnStep("all hold", &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("x"), isAbsent("y")}})
	c.txnStep("the second does not", &pb.TxnRequest{Compare: []*pb.Compare{isAbsent("x"), isAbsent("c/1")}})
	return nil
}

func checkCompact(c *apiCheck) error {
	if err := c.puts("k", "1", "k", "2", "l", "1", "k", "3"); err != nil {
		return err
	}
	c.deleteStep("l goes", &pb.DeleteRangeRequest{Key: []byte("l")})
	if err := c.puts("k", "4", "m", "1"); err != nil {
		return err
	}
	read := func(revisions ...int64) {
		for _, revision := range revisions {
			c.rangeStep(fmt.Sprintf("read at %d", revision), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: revision})
		}
	}
	read(1, 4, 6, 8)
	c.compactStep("to the future", &pb.CompactionRequest{Revision: 9})
	c.compactStep("to a negative one", &pb.CompactionRequest{Revision: -3})
	c.compactStep("to nothing", &pb.CompactionRequest{})
	c.compactStep("to 5", &pb.CompactionRequest{Revision: 5, Physical: true})
	read(1, 2, 4, 5, 6, 7, 8)
	c.compactStep("to 5 again", &pb.CompactionRequest{Revision: 5, Physical: true})
	c.compactStep("to 4, below", &pb.CompactionRequest{Revision: 4})
	c.txnStep("a transaction that reads what is gone", &pb.TxnRequest{Success: ops(opPut("k", "not kept"), opRange(&pb.RangeRequest{Key: []byte("k"), Revision: 2}))})
	c.compactStep("to 6, where l is deleted", &pb.CompactionRequest{Revision: 6, Physical: true})
	read(5, 6, 7, 8)
	c.compactStep("to the last", &pb.CompactionRequest{Revision: 8, Physical: true})
	read(7, 8, 0)
	if err := c.puts("l", "new"); err != nil {
		return err
	}
	c.compactStep("not physically", &pb.CompactionRequest{Revision: 9})
	read(8, 9)
	c.everything("at the end")
	return nil
}

func checkLimits(c *apiCheck) error {
	value := func(size int) []byte { return bytes.Repeat([]byte("y"), size) }
	for _, size := range []int{1 << 20, 1_572_000, 1_572_864 - 100, 1_572_864, 1_572_865, 1_600_000, 2 << 20, 3 << 20} {
		c.putStep(fmt.Sprintf("a value of %d bytes", size), &pb.PutRequest{Key: []byte("large"), Value: value(size)})
	}
	c.putStep("a key of 1 MiB", &pb.PutRequest{Key: value(1 << 20)})
	c.putStep("a key of 2 MiB", &pb.PutRequest{Key: value(2 << 20)})
	for number := range 8 {
		if _, err := c.kv.Put(c.ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "many/%d", number), Value: value(1 << 20)}); err != nil {
			return err
		}
	}
	c.rangeStep("eight MiB in one answer", &pb.RangeRequest{Key: []byte("many/"), RangeEnd: []byte("many0")})
	c.txnStep("a request that is large as a whole", &pb.TxnRequest{Success: ops(opPut("a", string(value(900_000))), opPut("b", string(value(900_000))))})
	c.rangeStep("a read with a large key", &pb.RangeRequest{Key: value(1 << 20)})
	c.everything("what was taken")
	return nil
}
