-- Upgrade a namespace from format 1, at most PIECE keys of it. ARGV: clock offset, position ('' for the
-- beginning), the number of messages that earlier pieces have left. Returns the format of the namespace, the
-- position of the next piece ('' if there is none), and the number of messages that are left because living
-- workers of the release before lease them.

local FORMAT = '2'
local PIECE = 250
local now = clock(tonumber(ARGV[1]))
local place, left = ARGV[2], tonumber(ARGV[3])

local format_of = call('GET', OLD .. 'format')
if format_of then return {format_of, '', 0} end

local function finish()
    adopt_some(now, FEW) -- left by calls that failed, or added by old processes
    for _, name in ipairs({'upkeep', 'owners', 'workers', 'workers:described', 'awaited', 'dead', 'exp', 'big'}) do
        call('DEL', OLD .. name)
    end
    call('SET', OLD .. 'format', FORMAT)
    return {FORMAT, '', 0}
end

-- Old workers go on obeying their own list.
local function copy_paused()
    for _, queue in ipairs(call('SMEMBERS', OLD .. 'paused')) do
        call('HSETNX', P .. 'paused', queue, whole(now))
    end
end

-- A unique key with a period outlives its message. Others are moved with it.
local function move_period(name, key)
    if call('PTTL', key) > 0 then
        move_key('u:' .. name)
    else
        local holder = read_hold(call('GET', key))
        if not holder or call('EXISTS', OLD .. 'm:' .. holder) == 0 then call('DEL', key) end
    end
end

if place == '' then
    -- The key `upkeep` remains for a day after the last call of a worker.
    if call('EXISTS', OLD .. 'upkeep', OLD .. 'queues', OLD .. 'leases', OLD .. 'dead', OLD .. 'paused') == 0 then
        return finish()
    end
    place = '0'
end
local pattern = string.gsub(OLD, '[%[%]*?\\]', '\\%0') .. '*'
local following, keys = unpack(call('SCAN', place, 'MATCH', pattern, 'COUNT', PIECE))
for _, key in ipairs(keys) do
    if sub(key, 1, #P) ~= P then
        local name = sub(key, #OLD + 1)
        local kind, rest = sub(name, 1, 2), sub(name, 3)
        if kind == 'm:' then
            if adopt(rest, now) then left = left + 1 end
        elseif kind == 'u:' then
            move_period(rest, key)
        elseif kind == 'x:' and call('EXISTS', OLD .. 'm:' .. rest) == 0 then
            call('DEL', key)
        elseif name == 'paused' then
            copy_paused()
        end
    end
end
if following ~= '0' then return {'1', following, left} end
if left == 0 then return finish() end
return {'1', '', left}
