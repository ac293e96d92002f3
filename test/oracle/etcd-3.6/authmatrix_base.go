package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The leases; what hangs on each is in authKeys.
const (
	leaseWithoutKeys = 0x101
	leaseInK         = 0x102
	leaseInX         = 0x103
	leaseInBoth      = 0x104
	leaseOfB         = 0x105
	leaseOfVotes     = 0x106
	leaseOfForeign   = 0x107
	leaseNowhere     = 0x1ff
	authLeaseTTL     = 3600
)

var authLeases = []int64{leaseWithoutKeys, leaseInK, leaseInX, leaseInBoth, leaseOfB, leaseOfVotes, leaseOfForeign}

// authRecord is what a key should be like before each request.
type authRecord struct {
	value string
	lease int64
}

// authKeys are the keys before each request: around and inside the ranges that roles are about.
var authKeys = map[string]authRecord{
	"\x00": {"first", 0}, "j": {"before", 0}, "k": {"short", 0}, "k.": {"just before", 0}, "k/": {"start", 0},
	"k/a": {"a", 0}, "k/b": {"b", leaseOfB}, "k/b\x00": {"b0", 0}, "k/c": {"c", 0}, "k/d": {"d", 0}, "k/e": {"e", 0},
	"k/l1": {"l1", leaseInK}, "k/l2": {"l2", leaseInBoth}, "x/l1": {"l1", leaseInX}, "x/l2": {"l2", leaseInBoth},
	"k0": {"just after", 0}, "x/1": {"1", 0}, "x/2": {"2", 0}, "z": {"last", 0}, "\xff": {"very last", 0},
	"k/vote/1": {"ann", leaseOfVotes}, "x/vote/1": {"bob", leaseOfForeign}, "k/door/1": {"locked", 0}, "x/door/1": {"locked", 0},
}

func (r *authRun) setUpKeys() error {
	for _, id := range authLeases {
		if _, err := r.lease.LeaseGrant(r.ctx, &pb.LeaseGrantRequest{ID: id, TTL: authLeaseTTL}); err != nil {
			return err
		}
	}
	// Something that was there before, so that compaction has an effect, and a past to look at.
	for _, value := range []string{"oldest", "old"} {
		for _, key := range []string{"k/b", "x/1"} {
			if _, err := r.kv.Put(r.ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
				return err
			}
		}
	}
	if _, err := r.kv.Compact(r.ctx, &pb.CompactionRequest{Revision: 3, Physical: true}); err != nil {
		return err
	}
	_, err := r.settleKeys(r.ctx)
	if err != nil {
		return err
	}
	all, err := r.kv.Range(r.ctx, &pb.RangeRequest{Key: []byte("k/b")})
	r.base = all.GetHeader().GetRevision()
	return err
}

// settle says what is not as it should be among keys, leases and alarms, and puts that right.
func (r *authRun) settle() (changes string, err error) {
	err = r.asRoot("look at the keys", func(ctx context.Context) error {
		leases, err := r.settleLeases(ctx)
		if err != nil {
			return err
		}
		keys, err := r.settleKeys(ctx)
		changes = strings.Join(append(leases, keys...), " ")
		return err
	})
	return changes, err
}

func (r *authRun) settleKeys(ctx context.Context) (changes []string, err error) {
	all, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Serializable: true})
	if err != nil {
		return nil, err
	}
	found := map[string]authRecord{}
	var repairs []*pb.RequestOp
	for _, each := range all.Kvs {
		key, is := string(each.Key), authRecord{string(each.Value), each.Lease}
		found[key] = is
		should, isKnown := authKeys[key]
		if isKnown && should == is {
			continue
		}
		changes = append(changes, fmt.Sprintf("%s=%q%s", authText(key), is.value, leaseText(is.lease)))
		if !isKnown {
			repairs = append(repairs, opDelete(key, ""))
		} else {
			repairs = append(repairs, opPutLease(key, should.value, should.lease))
		}
	}
	missing := []string{}
	for key := range authKeys {
		if _, isThere := found[key]; !isThere {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	for _, key := range missing {
		changes = append(changes, "-"+authText(key))
		repairs = append(repairs, opPutLease(key, authKeys[key].value, authKeys[key].lease))
	}
	if len(repairs) > 0 {
		_, err = r.kv.Txn(ctx, &pb.TxnRequest{Success: repairs})
	}
	return changes, err
}

func (r *authRun) settleLeases(ctx context.Context) (changes []string, err error) {
	all, err := r.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return nil, err
	}
	var found []int64
	for _, each := range all.Leases {
		found = append(found, each.ID)
	}
	slices.Sort(found)
	for _, id := range found {
		if slices.Contains(authLeases, id) {
			continue
		}
		changes = append(changes, "+lease"+leaseText(id))
		// What hangs on it stays for settleKeys to see.
		if err := r.dropLease(ctx, id); err != nil {
			return nil, err
		}
	}
	for _, id := range authLeases {
		if slices.Contains(found, id) {
			continue
		}
		changes = append(changes, "-lease"+leaseText(id))
		if _, err := r.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: authLeaseTTL}); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// dropLease revokes a lease after its keys were taken off it.
func (r *authRun) dropLease(ctx context.Context, id int64) error {
	live, err := r.lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	if err != nil {
		return err
	}
	for _, key := range live.Keys {
		if _, err := r.kv.Put(ctx, &pb.PutRequest{Key: key, IgnoreValue: true}); err != nil {
			return err
		}
	}
	_, err = r.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: id})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}

func opPutLease(key, value string, lease int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value), Lease: lease},
	}}
}

// leaseText names a lease whose id was given; the others are alike.
func leaseText(id int64) string {
	switch {
	case id == 0:
		return ""
	case id < 0x1000:
		return fmt.Sprintf("@%x", id)
	}
	return "@some"
}

// authText shows a key as it is where it can be printed.
func authText(key string) string {
	quoted := fmt.Sprintf("%q", key)
	return quoted[1 : len(quoted)-1]
}
