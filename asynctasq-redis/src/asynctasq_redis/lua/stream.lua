-- The stream of events: a hash `events` with its state, and a key `v:<number>` for each batch, which begins with the
-- time of the batch and the bytes of all batches up to it. This file precedes the scripts that need it.

local STREAM_HEAD = '>dd'
local STREAM_KEPT = 86400000 -- milliseconds for which the state is kept after the last call
local STREAM_FIELDS = {'until', 'since', 'last', 'size', 'first'}

local function stream_number(value)
    local number = tonumber(value or '0')
    return number and number >= 0 and number < LARGEST_TOKEN and number or 0
end

-- Return the state: until when and since when there is a listener, the numbers of the last and the first batch, and the
-- bytes of all batches so far.
local function stream()
    local values, s = call('HMGET', P .. 'events', unpack(STREAM_FIELDS)), {}
    for place, field in ipairs(STREAM_FIELDS) do s[field] = stream_number(values[place]) end
    if s.first == 0 then s.first = 1 end
    return s
end

local function set_stream(...)
    call('HSET', P .. 'events', ...)
    call('PEXPIRE', P .. 'events', whole(STREAM_KEPT))
end

-- Drop old batches, a few at a time.
local function drop_batches(s, now, kept_for, most, bytes, bound)
    local first = s.first
    while first <= s.last and first < s.first + bound do
        local key = P .. 'v:' .. whole(first)
        local head = call('GETRANGE', key, 0, 15)
        if #head == 16 then
            local at, size = unpack_from(STREAM_HEAD, head)
            if at >= now - kept_for and first > s.last - most and size > s.size - bytes then break end
        end
        call('DEL', key)
        first = first + 1
    end
    if first > s.first then set_stream('first', whole(first)) end
end
