package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func leaseCells() (cells []authCell) {
	grants := []struct {
		name    string
		id, ttl int64
	}{
		{"a lease without an id", 0, 60}, {"a lease with an id", 0x200, 60}, {"a lease that is there", leaseInX, 60},
		{"a lease for ever", 0x201, 9_000_000_001}, {"a lease for no time", 0x202, 0},
	}
	for _, each := range grants {
		cells = append(cells, authCell{name: "grant " + each.name, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: each.id, TTL: each.ttl})
			return fmt.Sprintf("for %d s", answer.GetTTL()), err
		}})
	}
	for _, id := range append(slices.Clone(authLeases), leaseNowhere) {
		cells = append(cells, revokeCell(id), liveCell(id, false), liveCell(id, true), keepAliveCell(id))
	}
	return append(cells, authCell{name: "list leases", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		ids := make([]int64, 0, len(answer.GetLeases()))
		for _, each := range answer.GetLeases() {
			ids = append(ids, each.ID)
		}
		slices.Sort(ids) // they come in the order in which they end
		return fmt.Sprintf("%x", ids), err
	}})
}

func revokeCell(id int64) authCell {
	return authCell{name: fmt.Sprintf("revoke lease %x", id), call: func(r *authRun, ctx context.Context) (string, error) {
		_, err := r.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: id})
		return "revoked", err
	}}
}

func liveCell(id int64, isWithKeys bool) authCell {
	name := fmt.Sprintf("time of lease %x", id)
	if isWithKeys {
		name += " and its keys"
	}
	return authCell{name: name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: isWithKeys})
		var keys []string
		for _, key := range answer.GetKeys() {
			keys = append(keys, authText(string(key)))
		}
		slices.Sort(keys) // they come as they lie in a map
		return fmt.Sprintf("of %d s, over %v, [%s]", answer.GetGrantedTTL(), answer.GetTTL() < 0, strings.Join(keys, " ")), err
	}}
}

func keepAliveCell(id int64) authCell {
	return authCell{name: fmt.Sprintf("keep lease %x", id), isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		stream, err := r.lease.LeaseKeepAlive(ctx)
		if err != nil {
			return "", err
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			return "", err
		}
		answer, err := stream.Recv()
		return fmt.Sprintf("for %d s", answer.GetTTL()), err
	}}
}
