-- Renew an owner's leases. ARGV: clock offset, owner, length of the lease, then ids with tokens, all
-- in one string. Answers with '1' (held) or '0' (lost) for each.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local owner, lease, named = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local count = #named / 20

if not call('ZSCORE', P .. 'owners', owner) then return string.rep('0', count) end
call('ZADD', P .. 'owners', whole(now + lease), owner)

local ids, tokens = {}, {}
for i = 1, count do
    ids[i], tokens[i] = unpack_from('>c16I4', named, i * 20 - 19)
end

local answers, held, known = {}, 0, {}
for from = 1, count, ARGUMENTS do
    local to = math.min(from + ARGUMENTS - 1, count)
    local found = call('HMGET', P .. 'leases', unpack(ids, from, to))
    for i = from, to do
        local record = found[i - from + 1]
        local mine = record and unpack_from('>I4', record) == tokens[i]
            and owner_and_queue(record) == owner
        answers[i] = mine and '1' or '0'
        if mine and not known[ids[i]] then
            known[ids[i]] = true
            held = held + 1
        end
    end
end

-- What the owner never heard of goes back.
local leased = P .. 'o:' .. owner
if call('SCARD', leased) > held then
    for _, id in ipairs(call('SMEMBERS', leased)) do
        local record = not known[id] and call('HGET', P .. 'leases', id)
        if record then
            local token, leased_at = unpack_from(LEASE, record)
            if leased_at <= now - lease then
                local _, queue = owner_and_queue(record)
                call('HDEL', P .. 'leases', id)
                call('SREM', leased, id)
                call('HINCRBY', P .. 'queues', queue, -1)
                local flagged = call('SREM', P .. 'c:' .. owner, id) == 1
                local h = head(id)
                if h then
                    h.token = token
                    if flagged then
                        cancel_for_good(id, h, h.ttl, now)
                    else
                        write_head(id, h)
                        make_ready(id, h)
                    end
                end
            end
        end
    end
end
return table.concat(answers)
