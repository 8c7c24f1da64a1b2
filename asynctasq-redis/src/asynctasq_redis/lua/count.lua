-- Count queues. ARGV: clock offset, then names; all that are known where there are none. Answers for
-- each with name, ready, scheduled, leased, dead, whether it is paused, and when its oldest ready
-- message became ready ('' if there is none, or if one queue was asked for).

local now = clock(tonumber(ARGV[1]))
local names = {}
local all = #ARGV == 1
if all then
    local known = {}
    for _, list in ipairs({call('HKEYS', P .. 'queues'), call('SMEMBERS', P .. 'paused')}) do
        for _, name in ipairs(list) do
            if not known[name] then
                known[name] = true
                names[#names + 1] = name
            end
        end
    end
else
    for i = 2, #ARGV do names[i - 1] = ARGV[i] end
end

local function oldest_ready(queue)
    local oldest = math.huge
    for priority = 0, 9 do
        local from = (9 - priority) * SPAN
        local first = call('ZRANGEBYSCORE', P .. 'r:' .. queue, whole(from),
            '(' .. whole(from + SPAN), 'WITHSCORES', 'LIMIT', 0, 1)
        if #first > 0 then oldest = math.min(oldest, tonumber(first[2]) - from + EPOCH) end
    end
    local first = call('ZRANGE', P .. 's:' .. queue, 0, 0, 'WITHSCORES')
    if #first > 0 and tonumber(first[2]) <= now then
        oldest = math.min(oldest, tonumber(first[2]))
    end
    return oldest < math.huge and whole(oldest) or ''
end

local answer = {}
for _, queue in ipairs(names) do
    local due = call('ZCOUNT', P .. 's:' .. queue, '-inf', whole(now))
    local counts = {
        queue,
        call('ZCARD', P .. 'r:' .. queue) + due,
        call('ZCARD', P .. 's:' .. queue) - due,
        tonumber(call('HGET', P .. 'queues', queue) or '0'),
        call('ZCARD', P .. 'd:' .. queue),
        call('SISMEMBER', P .. 'paused', queue),
        all and oldest_ready(queue) or '',
    }
    answer[#answer + 1] = counts
end
return answer
