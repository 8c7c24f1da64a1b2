-- Renew the leases of an owner. ARGV: clock offset, owner, length of the lease, and ids with tokens in one
-- string. Returns '1' (held) or '0' (lost) for each, the time, and leases whose delivery the owner may never have
-- received: for each its id, its token, and its time. In the pause after an outage there are none, because a lease
-- looks old if the clock has jumped.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local owner, length, named = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local count = #named / 24
local pause = note_upkeep(now, length)

local ids, tokens = {}, {}
for i = 1, count do
    ids[i], tokens[i] = unpack_from('>c16I8', named, i * 24 - 23)
end

local answers, held, known = {}, 0, {}
for from = 1, count, ARGUMENTS do
    local to = math.min(from + ARGUMENTS - 1, count)
    local found = call('HMGET', P .. 'leases', unpack(ids, from, to))
    for i = from, to do
        local lease = read_lease(found[i - from + 1])
        local mine = lease and lease.token == tokens[i] and lease.owner == owner
        answers[i] = mine and '1' or '0'
        if mine and not known[ids[i]] then
            known[ids[i]] = true
            held = held + 1
        end
    end
end
if held > 0 or call('ZSCORE', P .. 'owners', owner) then
    call('ZADD', P .. 'owners', whole(now + length), owner)
end

local strays = {}
local leased = P .. 'o:' .. owner
if call('SCARD', leased) > held then
    local left = BOUND
    for _, id in ipairs(call('SMEMBERS', leased)) do
        if left == 0 then break end
        if not known[id] then
            local record = call('HGET', P .. 'leases', id)
            local lease = read_lease(record)
            if not lease or lease.owner ~= owner then
                if record and not lease then call('HDEL', P .. 'leases', id) end
                rescue(id, now)
                call('SREM', leased, id)
                left = left - 1
            elseif now >= pause and math.abs(now - lease.at) >= length then -- also if the clock was set back
                if #id == 16 then
                    local place = #strays
                    strays[place + 1], strays[place + 2], strays[place + 3] = id, whole(lease.token), whole(lease.at)
                else -- damaged
                    reclaim(id, lease, false, now)
                end
                left = left - 1
            end
        end
    end
end
return {table.concat(answers), whole(now), strays}
