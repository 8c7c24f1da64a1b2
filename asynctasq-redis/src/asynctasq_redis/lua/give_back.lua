-- Release leases, uncounted. ARGV: clock offset, owner, and ids with tokens in one string.

even_when_full()
local now, owner, named = clock(tonumber(ARGV[1])), ARGV[2], ARGV[3]
for i = 1, #named, 24 do
    local id, token = unpack_from('>c16I8', named, i)
    local lease = lease_of(id)
    if lease and lease.token == token and lease.owner == owner then
        reclaim(id, lease, false, now)
    end
end
