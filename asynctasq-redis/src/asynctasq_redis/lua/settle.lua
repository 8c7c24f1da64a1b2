-- End leases. ARGV: clock offset; then for each settlement its numbers (kind, token, delay or time
-- to live in seconds, id) and its bytes. Answers with '1' (done) or '0' (lost) for each.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local count = (#ARGV - 1) / 2
local COMPLETE, COMPLETE_EMPTY, RETRY, FAIL, FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL =
    1, 2, 3, 4, 5, 6, 7, 8

local kinds, tokens, numbers, ids = {}, {}, {}, {}
for i = 1, count do
    kinds[i], tokens[i], numbers[i], ids[i] = unpack_from('>BI4dc16', ARGV[i * 2])
end
local leases = call('HMGET', P .. 'leases', unpack(ids))

-- Which are current; and the leases end.
local answers, ended, groups = {}, {}, {}
local seen = {}
for i = 1, count do
    local lease, id = leases[i], ids[i]
    if lease and not seen[id] and unpack_from('>I4', lease) == tokens[i] then
        seen[id] = true
        answers[i] = '1'
        ended[#ended + 1] = id
        local tail = sub(lease, LEASE_TAIL)
        local group = groups[tail]
        if not group then
            local owner, queue = owner_and_queue(lease)
            group = {owner = owner, queue = queue, ids = {}}
            group.flags = call('EXISTS', P .. 'c:' .. owner) == 1
            groups[tail] = group
        end
        group.ids[#group.ids + 1] = id
        leases[i] = {byte(lease, 13), group}
    else
        answers[i] = '0'
    end
end
if #ended == 0 then return table.concat(answers) end
spread('HDEL', P .. 'leases', ended)
for _, group in pairs(groups) do
    spread('SREM', P .. 'o:' .. group.owner, group.ids)
    call('HINCRBY', P .. 'queues', group.queue, -#group.ids)
end

local prefixes = {}

local function complete(id, flags, ttl, result)
    if flags ~= 0 then
        local h = head(id)
        if h then drop_rest(id, h) end
    end
    local kind = result and ttl or -1 - ttl
    local prefix = prefixes[kind]
    if not prefix then
        local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
        prefix = {
            pack(OUTCOME, COMPLETED, result and 1 or 0, now, now + seconds * 1000000),
            whole(seconds * 1000),
        }
        prefixes[kind] = prefix
    end
    call('SET', P .. 'm:' .. id, result and prefix[1] .. result or prefix[1], 'PX', prefix[2])
    tell_end(id)
end

local function give_back(id, h, delay)
    write_head(id, h)
    if delay > 0 then make_scheduled(id, h, now) else make_ready(id, h) end
end

local function retry(id, h, delay, err)
    h.attempt = h.attempt + 1
    local extra = P .. 'x:' .. id
    call('HSET', extra, 'e', err)
    if band(h.flags, MISMATCHED) ~= 0 then call('HDEL', extra, 'm') end
    h.flags = bor(band(h.flags, bnot(MISMATCHED)), EXTRA)
    h.due = now + math.max(delay, 0) * 1000000
    give_back(id, h, delay)
end

local function release(id, h, delay, mismatched)
    if mismatched and band(h.flags, MISMATCHED) == 0 then
        call('HSET', P .. 'x:' .. id, 'm', whole(now))
        h.flags = bor(h.flags, MISMATCHED, EXTRA)
    end
    if delay > 0 then h.due = now + delay * 1000000 end
    give_back(id, h, delay)
end

local function fail(id, h, attempted, payload)
    if attempted then h.attempt = h.attempt + 1 end
    local reason, after = unpack_from('Bc0', payload)
    bury(id, h, reason, sub(payload, after), now)
end

for i = 1, count do
    if answers[i] == '1' then
        local id, kind, number, payload = ids[i], kinds[i], numbers[i], ARGV[i * 2 + 1]
        local flags, group = leases[i][1], leases[i][2]
        if kind == COMPLETE then
            complete(id, flags, number, payload)
        elseif kind == COMPLETE_EMPTY then
            complete(id, flags, number, nil)
        else
            local h = head(id)
            if h then
                h.token = tokens[i]
                local wins = kind == FAIL or kind == FAIL_UNTRIED
                if kind == CANCEL then
                    cancel_for_good(id, h, number, now)
                elseif not wins and group.flags and call('SISMEMBER', P .. 'c:' .. group.owner, id) == 1 then
                    cancel_for_good(id, h, h.ttl, now)
                elseif kind == RETRY then
                    retry(id, h, number, payload)
                elseif wins then
                    fail(id, h, kind == FAIL, payload)
                else
                    release(id, h, number, kind == RELEASE_MISMATCHED)
                end
            end
        end
    end
end
for _, group in pairs(groups) do
    if group.flags then spread('SREM', P .. 'c:' .. group.owner, group.ids) end
end
return table.concat(answers)
