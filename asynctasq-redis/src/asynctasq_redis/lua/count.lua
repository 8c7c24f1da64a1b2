-- Count the messages of queues. ARGV: clock offset, 'all' or 'counts', names. Returns for each: name, ready,
-- scheduled, leased, dead, when it was paused (nil if it is not), and when its oldest ready message became
-- ready ('' if there is none, and with 'counts').

local now = clock(tonumber(ARGV[1]))
pcall(function() -- a user who may not write (ACL) can count, too
    even_when_full()
    if call('HLEN', P .. 'queues') <= 100 then recount() end
end)

local function oldest_ready(queue, scheduled)
    local oldest = math.huge
    for priority = 0, 9 do
        local from = (9 - priority) * SPAN
        local first = call('ZRANGEBYSCORE', P .. 'r:' .. queue, whole(from),
            '(' .. whole(from + SPAN), 'WITHSCORES', 'LIMIT', 0, 1)
        if #first > 0 then oldest = math.min(oldest, tonumber(first[2]) - from + EPOCH) end
    end
    for _, key in ipairs(scheduled) do
        local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
        if #first > 0 and tonumber(first[2]) <= now then
            oldest = math.min(oldest, tonumber(first[2]))
        end
    end
    return oldest < math.huge and whole(oldest) or ''
end

local answer = {}
for i = 3, #ARGV do
    local queue = ARGV[i]
    local scheduled, due, later = scheduled_sets(queue), 0, 0
    for _, key in ipairs(scheduled) do
        local some = call('ZCOUNT', key, '-inf', whole(now))
        due, later = due + some, later + call('ZCARD', key) - some
    end
    answer[i - 2] = {
        queue,
        call('ZCARD', P .. 'r:' .. queue) + due,
        later,
        math.max(tonumber(call('HGET', P .. 'queues', queue)) or 0, 0),
        call('ZCARD', P .. 'd:' .. queue),
        call('HGET', P .. 'paused', queue),
        ARGV[2] == 'all' and oldest_ready(queue, scheduled) or '',
    }
end
return answer
